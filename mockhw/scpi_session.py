"""One instrument's side of a SCPI conversation: bytes in, replies out, no sockets and no sleeping.

The session knows when it may go on, not how time passes: a handler that needs simulated time returns a
:class:`Hold`, and the parser waits until the clock has got there. What arrives meanwhile is queued behind it
(IEEE 488.2, 12.5), with two exceptions: a message that aborts releases the hold, and a message that
follows a query nobody has read the reply of makes that query *interrupted* (6.3.2.3).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from .faults import FaultPlan
from .ieee488 import OPERATION_COMPLETE, StatusModel
from .scpi_arguments import BlockRef
from .scpi_device import Device, Hold, Reply
from .scpi_errors import ScpiError
from .scpi_framing import BLOCK_MARK, MessageFramer, only_block
from .scpi_tree import Command, CommandTree, Program, Unit
from .sim_clock import SimClock

_CACHE_SIZE: Final = 2048
_CACHED_LENGTH: Final = 512


class ScpiSession:
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
    """

    def __init__(
        self,
        device: Device,
        clock: SimClock,
        commands: Sequence[Command],
        reserved: dict[str, ScpiError] | None = None,
    ) -> None:
        self.status = StatusModel()
        self.time = clock.now
        """Simulated time of the unit that is being executed [s]; behind the clock only while catching up."""
        self.faults: FaultPlan | None = None
        self.dropped = False
        """Set by a fault: the connection is gone."""
        self.output: deque[tuple[bytes, float]] = deque()
        """Replies nobody has taken, oldest first, each with the simulated time [s] from which it can be."""
        self._device = device
        self._clock = clock
        self.tree = CommandTree([*self.status.commands(), *self._common(), *commands], reserved)
        self._framer = MessageFramer()
        self._by_text: dict[bytes, Program] = {}
        self._by_bytes: dict[bytes, Program] = {}
        self._before_block: dict[bytes, Program] = {}
        self._inbox: deque[tuple[Program, tuple[memoryview, ...]]] = deque()
        self._units: tuple[Unit, ...] = ()
        self._at = 0
        self._blocks: tuple[memoryview, ...] = ()
        self._replies: list[Reply] = []
        self._hold: Hold | None = None
        self._running = False
        self._opc_armed = False
        self._late = 0.0
        self._garble = False

    # --- what the transport calls -------------------------------------------------------------

    def feed(self, data: bytes | bytearray | memoryview, *, end: bool = False) -> None:
        """Take bytes from the client and execute what can be executed now."""
        arrived = self._arrive(data, end=end)
        if not arrived:
            return
        if self._hold is not None or self.output:
            self._meet(any(program.aborts for program, _ in arrived))
        if self._hold is None and not self._inbox:
            self.time = self._clock.now
        self._inbox.extend(arrived)
        self.run()

    def take(self) -> bytes | None:
        """Return the oldest reply that is ready, None if there is none."""
        if self.output and self.output[0][1] <= self._clock.now:
            return self.output.popleft()[0]
        return None

    @property
    def owes_reply(self) -> bool:
        """Whether a reply is waiting, or will come if only time passes."""
        hold = self._hold
        if self.output or (hold is not None and (hold.finish is not None or self._replies)):
            return True
        if hold is not None and any(unit.is_query for unit in self._units[self._at :]):
            return True
        return any(program.is_query for program, _ in self._inbox)

    def next_event(self) -> float | None:
        """Return the simulated time [s] at which a reply may be ready; None: never without a further message."""
        if self.output:
            return self.output[0][1]
        if self._hold is None:
            return None
        return self._hold.until if self._hold.until is not None else self._device.next_event()

    def clear(self) -> None:
        """Device clear (IEEE 488.1 SDC): both queues and the parser are emptied; what runs goes on."""
        self._framer.clear()
        self._inbox.clear()
        self.output.clear()
        self._drop_message()
        self._opc_armed = False

    @property
    def in_block(self) -> bool:
        """Whether the rest of a block is waited for."""
        return self._framer.in_block

    def give_up_block(self) -> None:
        """Forget a block whose rest has not come (-161): the parser is back at the start of a message."""
        if self._framer.in_block:
            self._framer.clear()
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
                    if not self._inbox:
                        return worked
                    program, self._blocks = self._inbox.popleft()
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
            if unit.has_block:
                arguments = tuple([blocks[a.index] if type(a) is BlockRef else a for a in arguments])
            try:
                if self.faults is not None and unit.command is not None and self._disturb(unit.command):
                    return
                reply: Any = unit.handler(*arguments)
            except ScpiError as error:
                self.status.error(error.code, error.detail)
                continue
            if reply is None:
                continue
            if isinstance(reply, Hold):
                self._hold = reply
                return
            self._replies.append(reply)
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
                if reply is not None:
                    self._replies.append(reply)
        return True

    def _arrive(
        self, data: bytes | bytearray | memoryview, *, end: bool
    ) -> Sequence[tuple[Program, tuple[memoryview, ...]]]:
        """Return the messages that are complete with ``data``, compiled."""
        if type(data) is not bytes or self._framer.pending:
            return [(self._compile(text), blocks) for text, blocks in self._framer.feed(data, end=end)]
        short = len(data) <= _CACHED_LENGTH
        if short and (program := self._by_bytes.get(data)) is not None:
            return ((program, ()),)
        # One command with one block at its end is recognised by what stands before the block.
        mark = data.find(b"#", 0, _CACHED_LENGTH)
        if mark >= 0 and (program := self._before_block.get(data[:mark])) is not None:
            payload = only_block(data, mark)
            if payload is not None:
                return ((program, (payload,)),)
        messages = self._framer.feed(data, end=end)
        arrived = [(self._compile(text), blocks) for text, blocks in messages]
        if len(messages) == 1 and data.endswith(b"\n"):
            text, blocks = messages[0]
            if not blocks and short:
                self._remember(self._by_bytes, data, arrived[0][0])
            elif len(blocks) == 1 and mark >= 0 and text.find(b"#") == len(text) - len(BLOCK_MARK):
                self._remember(self._before_block, data[:mark], arrived[0][0])
        return arrived

    def _meet(self, aborts: bool) -> None:
        """A message arrives while an earlier one is held or its reply unread."""
        if aborts and self._hold is not None:
            self._device.abort()
            self.run()
            return
        unread = bool(self.output)
        self.output.clear()
        if self._hold is not None and (self._replies or self._hold.finish is not None):
            unread = True
            self._drop_message()
        if unread:
            self.status.error(-410)

    def _emit(self) -> None:
        replies = self._replies
        if not replies:
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
        if self._garble:
            data = bytes(byte ^ 0x5A if at % 3 == 1 and byte != 0x0A else byte for at, byte in enumerate(data))
        self.output.append((data, self._clock.now + self._late if self._late else 0.0))
        self._late, self._garble = 0.0, False

    def _drop_message(self) -> None:
        self._units, self._at, self._blocks = (), 0, ()
        self._replies = []
        self._hold = None
        self._late, self._garble = 0.0, False

    def _compile(self, text: bytes) -> Program:
        program = self._by_text.get(text)
        if program is None:
            program = self.tree.compile(text)
            if len(text) <= _CACHED_LENGTH:
                self._remember(self._by_text, text, program)
        return program

    @staticmethod
    def _remember(cache: dict[bytes, Program], key: bytes, program: Program) -> None:
        if len(cache) >= _CACHE_SIZE:
            cache.clear()
        cache[key] = program

    def _disturb(self, command: Command) -> bool:
        """Apply scripted faults; return whether the message is lost."""
        assert self.faults is not None
        for fault in self.faults.due(command.pattern):
            if fault.kind == "late_reply":
                self._late = max(self._late, fault.seconds)
            elif fault.kind == "garbled_reply":
                self._garble = True
            elif fault.kind == "full_error_queue":
                for _ in range(21):
                    self.status.error(-310, "scripted fault")
            elif fault.kind == "error":
                raise ScpiError(fault.code, "scripted fault")
            elif fault.kind in ("drop_connection", "no_reply"):
                self.dropped = self.dropped or fault.kind == "drop_connection"
                self._drop_message()
                return True
        return False

    # --- common commands ----------------------------------------------------------------------

    def _common(self) -> tuple[Command, ...]:
        always: Callable[..., bool] = lambda *_: True  # noqa: E731
        return (
            Command("*IDN?", lambda: self._device.identity),
            Command("*RST", self._reset, aborts=always),
            Command("*TST?", self._device.self_test),
            Command("*STB?", lambda: str(self.status.byte(message=bool(self._replies) or self.message_available))),
            Command("*OPC", self._operation_complete),
            Command("*OPC?", lambda: Hold(finish=lambda: "1") if self._device.busy else "1"),
            Command("*WAI", lambda: Hold() if self._device.busy else None),
        )

    def _reset(self) -> Hold | None:
        self._opc_armed = False
        return self._device.reset()

    def _operation_complete(self) -> None:
        if self._device.busy:
            self._opc_armed = True
        else:
            self.status.event |= OPERATION_COMPLETE
