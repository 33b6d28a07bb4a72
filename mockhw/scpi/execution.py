"""One instrument's side of a SCPI conversation: bytes in, replies out, no sockets and no sleeping.

The session knows when it may go on, not how time passes: a handler that needs simulated time returns a
:class:`Hold`, and the parser waits until the clock has got there. What arrives meanwhile is queued behind it
(IEEE 488.2, 12.5), with two exceptions: a message that aborts releases the hold, and a message that
follows a query nobody has read the reply of makes that query *interrupted* (6.3.2.3).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from ..faults import FaultPlan
from ..sim_clock import SimClock
from .arguments import BlockRef
from .device import Device, Hold, PutOff, Reply
from .errors import ScpiError
from .framing import Blocks
from .ieee488 import OPERATION_COMPLETE, StatusModel
from .reader import Arrival, MessageReader
from .spoiled_reply import SpoiledReply
from .tree import Command, CommandTree, Program, Unit
from .wire_limits import WIRE_LIMITS, WireLimits

_ENTRY_BYTES: Final = 200  # what a waiting message costs beside its text and blocks, about


class MessageExecution(ABC):
    """Parser, output queue and status of one simulated instrument.

    Parameters
    ----------
    device : Device
        The instrument.
    clock : SimClock
        Simulated time.
    commands : sequence of Command
        What the instrument understands beside the common and status commands.
    reserved : dict
        Header prefixes below which the unknown has an error of its own.
    limits : WireLimits
        How much is kept of what clients send and leave unread.
    """

    def __init__(
        self,
        device: Device,
        clock: SimClock,
        commands: Sequence[Command],
        reserved: dict[str, ScpiError] | None = None,
        limits: WireLimits = WIRE_LIMITS,
    ) -> None:
        self.status = StatusModel()
        self.time = clock.now
        """Simulated time of the unit that is being executed [s]; behind the clock only while catching up."""
        self.message = 0
        """How many messages have been begun: which one is being executed."""
        self.waited = 0
        """Which message waited last for what runs, or would have."""
        self.aborted = 0
        """Which message was held last when an abort released it."""
        self.faults: FaultPlan | None = None
        self.dropped = False
        """Set by a fault: the connection is gone once what is in the output queue has left."""
        self.torn = False
        """Set by a fault: it went while a block was being sent."""
        self.lag = 0.0
        """Wall-clock time [s] a host on sockets holds the reply back that was taken last: scripted."""
        self.lag_on_the_way = False
        """Whether that reply is late on its way, and not because the instrument is slow."""
        self.output: deque[tuple[bytes, float, float, bool]] = deque()
        """Replies nobody has taken, oldest first: data, the simulated time [s] from which it can be taken, its lag
        [s], and whether it has left the instrument and is only late."""
        self._device = device
        self._clock = clock
        self.tree = CommandTree([*self.status.commands(), *self._common(), *commands], reserved)
        self.limits = limits
        self.reader = MessageReader(self.tree, limits)
        self._inbox: deque[Arrival] = deque()
        self._waiting = 0  # bytes that have come since the inbox was empty
        self._unread = 0
        self._full = False  # whether the parser waits for a reader
        self._units: tuple[Unit, ...] = ()
        self._at = 0
        self._blocks: Blocks = ()
        self._replies: list[Reply] = []
        self._hold: Hold | None = None
        self._running = False
        self._opc_armed = False
        self._spoiled: SpoiledReply | None = None

    # --- what the transport calls -------------------------------------------------------------

    def feed(self, data: bytes | bytearray | memoryview, *, end: bool = False) -> None:
        """Take bytes from the client and execute what can be executed now."""
        if self.dropped:
            return
        arrived = self.reader.arrive(data, end=end, later=self._hold is not None or self._full)
        if not arrived:
            return
        if self._hold is not None or self.output:
            self._meet(arrived)
        if self._hold is None and not self._inbox:
            self.time = self._clock.now
        if self._inbox and not self._has_room(arrived):
            self.status.error(-363, f"more than {self.limits.waiting} bytes wait behind a command")
            return
        self._inbox.extend(arrived)
        self.run()

    def take(self) -> bytes | None:
        """Return the oldest reply that is ready, None if there is none."""
        if not self.output or self.output[0][1] > self._clock.now:
            return None
        first = self.output.popleft()
        data, _, self.lag, self.lag_on_the_way = first
        self._unread -= len(data)
        if self._full and self._unread < self.limits.unread:
            try:
                self.run()
            except BaseException:
                self.output.appendleft(first)
                self._unread += len(data)
                raise
        return data

    @property
    def owes_reply(self) -> bool:
        """Whether a reply is waiting, or will come if only time passes."""
        hold = self._hold
        if self.output:
            return self.output[0][1] < math.inf
        if hold is not None and (hold.finish is not None or self._replies):
            return True
        if hold is not None and any(unit.is_query for unit in self._units[self._at :]):
            return True
        return any(p.is_query if isinstance(p, Program) else b"?" in p for p, _ in self._inbox)

    def next_event(self) -> float | None:
        """Return the simulated time [s] at which a reply may be ready; None: never without a further message."""
        if self.output:
            return self.output[0][1]
        if self._hold is None:
            return None
        return self._hold.until if self._hold.until is not None else self._device.next_event()

    def clear(self) -> None:
        """Device clear (IEEE 488.1 SDC): both queues and the parser are emptied; what runs goes on."""
        self.reader.framer.clear()
        self._inbox.clear()
        self.output.clear()
        self._unread = 0
        self._full = False
        self._drop_message()
        self._opc_armed = False

    @property
    def in_block(self) -> bool:
        """Whether the rest of a block is waited for."""
        return self.reader.framer.in_block

    @property
    def in_message(self) -> bool:
        """Whether the rest of a message is waited for."""
        return self.reader.framer.pending

    def give_up_block(self) -> None:
        """Forget a block whose rest has not come (-161): the parser is back at the start of a message."""
        if self.reader.framer.in_block:
            self.reader.framer.clear()
            self.status.error(-161, "the rest of the block did not come")

    def unterminated(self) -> None:
        """Record that the client reads though nothing was asked (-420)."""
        self.status.error(-420)

    @property
    def message_available(self) -> bool:
        """Whether a reply is ready to be read."""
        return bool(self.output) and self.output[0][1] <= self._clock.now

    # --- execution -----------------------------------------------------------------------------

    def run(self) -> bool:
        """Execute until held or done; return whether anything was executed."""
        if self._running:
            return False
        self._running = True
        worked = False
        try:
            while True:
                if self._hold is not None:
                    if not self._release():
                        return worked
                elif self._at >= len(self._units):
                    self._full = self._unread >= self.limits.unread
                    if not self._inbox or self._full:
                        return worked
                    program, self._blocks = self._inbox.popleft()
                    self.message += 1
                    if isinstance(program, bytes):
                        program = self.reader.compile(program)
                    if not self._inbox:
                        self._waiting = 0
                    self._units, self._at = program.units, 0
                    if program.blocks != len(self._blocks):
                        self.status.error(-161)
                        self._units = ()
                self._execute()
                worked = True
        except BaseException:
            self._drop_message()
            raise
        finally:
            self._running = False

    def idle(self) -> None:
        """Tell the session that what ran has ended (for ``*OPC``)."""
        if self._opc_armed:
            self._opc_armed = False
            self.status.event |= OPERATION_COMPLETE

    def _execute(self) -> None:
        units, blocks = self._units, self._blocks
        while self._at < len(units):
            unit = units[self._at]
            self._at += 1
            arguments = unit.arguments
            if self._clock.ahead and not unit.is_query and unit.command is not None:
                self._device.before(unit.command.pattern)
                self.time = self._clock.now
            try:
                if unit.has_block:
                    arguments = tuple([blocks[a.index] if type(a) is BlockRef else a for a in arguments])
                    if None in blocks:
                        raise ScpiError(-223, f"a message takes blocks of {self.limits.block} bytes together")
                if self.faults is not None and unit.command is not None:
                    reply: Any = self._disturbed(unit, unit.command.pattern, arguments)
                    if self.dropped or not self._units:
                        return
                else:
                    reply = unit.handler(*arguments)
            except ScpiError as error:
                self.status.error(error.code, error.detail)
                continue
            if reply is None:
                continue
            if isinstance(reply, Hold):
                self._hold = reply
                if isinstance(reply, PutOff):  # what struck it once does not strike it again
                    self._units, self._at = (replace(unit, command=None), *units[self._at :]), 0
                return
            self._replies.append(reply)
            if not len(self._replies) & 15 and sum(map(_size, self._replies)) > self.limits.reply:
                self._drop_message()
                self.status.error(-430, f"more than {self.limits.reply} bytes of replies to one message")
                return
        self._emit()

    def _release(self) -> bool:
        """Let the parser go on if what it waits for has happened."""
        hold = self._hold
        if hold is None:
            return True
        if hold.until is None:
            if self._device.busy:
                return False
            at = self._device.free_at
        else:
            at = hold.until
        if at > self._clock.now:
            hold.until = at
            return False
        self._hold = None
        self.time = max(self.time, at)
        if hold.finish is not None:
            try:
                reply = hold.finish()
            except ScpiError as error:
                self.status.error(error.code, error.detail)
            else:
                if isinstance(reply, Hold):  # a measurement that was delayed begins only now
                    self._hold = reply
                    return self._release()
                if reply is not None:
                    self._replies.append(reply)
        return True

    def _meet(self, arrived: Sequence[Arrival]) -> None:
        """A message arrives while an earlier one is held or its reply unread."""
        programs = (self.reader.compile(p) if isinstance(p, bytes) else p for p, _ in arrived)
        if self._hold is not None and any(program.aborts for program in programs):
            self.aborted = self.message
            self._device.abort()
            self.run()
            return
        # What has left the instrument is not in its output queue any more, however late it arrives.
        late = [reply for reply in self.output if reply[3]]
        unread = len(late) < len(self.output)
        if self.output:
            now = self._clock.now
            self.output = deque((r[0], now if r[1] == math.inf else r[1], r[2], True) for r in late)
            self._unread = sum(len(reply[0]) for reply in self.output)
        if self._hold is not None and (self._replies or self._hold.finish is not None):
            unread = True
            self._drop_message()
        if unread:
            self.status.error(-410)

    def _has_room(self, arrived: Sequence[Arrival]) -> bool:
        for program, blocks in arrived:
            text = len(program) if isinstance(program, bytes) else 0
            self._waiting += _ENTRY_BYTES + text + sum(len(block) for block in blocks if block is not None)
        return self._waiting <= self.limits.waiting

    def _emit(self) -> None:
        replies = self._replies
        if not replies:
            if (spoiled := self._spoiled) is not None:  # nothing to spoil; only a delay is felt by the next reply
                self._spoiled = SpoiledReply(lag=spoiled.lag) if spoiled.late is None and spoiled.lag else None
            return
        self._replies = []
        parts: list[bytes | memoryview] = []
        for reply in replies:
            if type(reply) is str:
                parts.append(reply.encode("utf-8"))
            elif type(reply) is list:
                parts.extend(reply)
            else:
                parts.append(reply)  # pyright: ignore[reportArgumentType]
            parts.append(b";")
        parts[-1] = b"\n"
        data = b"".join(parts)
        if self._spoiled is not None:
            self._emit_spoiled(data, self._spoiled)
            return
        self.output.append((data, 0.0, 0.0, False))
        self._unread += len(data)

    def _drop_message(self) -> None:
        self._units, self._at, self._blocks = (), 0, ()
        self._replies = []
        self._hold = None
        self._spoiled = None

    # --- what a session adds ------------------------------------------------------------------

    @abstractmethod
    def _common(self) -> tuple[Command, ...]:
        """Return the commands every instrument has."""

    @abstractmethod
    def _disturbed(self, unit: Unit, header: str, arguments: tuple[Any, ...]) -> Any:
        """Execute one unit under the faults that strike it."""

    @abstractmethod
    def _emit_spoiled(self, data: bytes, spoiled: SpoiledReply) -> None:
        """Put a reply that a fault has struck into the output queue."""


def _size(reply: Reply) -> int:
    return sum(map(len, reply)) if isinstance(reply, list) else len(reply)
