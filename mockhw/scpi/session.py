"""One instrument's SCPI session: the execution of messages, with the common commands and with scripted faults."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .device import Hold
from .errors import ScpiError
from .execution import MessageExecution
from .framing import MessageFramer
from .ieee488 import OPERATION_COMPLETE
from .spoiled_reply import SpoiledReply
from .tree import Command, Unit


class ScpiSession(MessageExecution):
    """Parser, output queue and status of one simulated instrument; see :class:`MessageExecution`."""

    def new_framer(self) -> MessageFramer:
        """Return where one more client keeps its unfinished message."""
        return MessageFramer(self.limits)

    # --- scripted faults ----------------------------------------------------------------------

    def _disturbed(self, unit: Unit, header: str, arguments: tuple[Any, ...]) -> Any:
        """Execute one unit under the faults that strike it; a message that is lost leaves no units behind."""
        assert self.faults is not None
        wait, refused, gone = 0.0, 0, ""
        for strike in self.faults.due(header):
            fault = strike.fault
            self._device.struck(strike, header)
            if fault.kind == "full_error_queue":
                for _ in range(self.status.errors.places + 1):
                    self.status.error(-310, "scripted fault")
            elif fault.kind == "error":
                refused = fault.code
            elif fault.kind == "delay":
                wait += fault.seconds
            elif fault.kind == "no_reply" and fault.where == "before":
                gone = gone or "message"
            elif fault.kind == "drop_connection" and (
                fault.where == "before" or (fault.where == "inside" and (unit.has_block or not unit.is_query))
            ):
                gone = "block" if fault.where == "inside" and unit.has_block else "connection"
            else:
                self._spoiled = self._spoiled or SpoiledReply()
                self._spoiled.add(fault)
        if self.dropped:
            return None  # it is without power, and so is what came
        if gone:
            self._drop_message()
            if gone != "message":
                self.torn = gone == "block"
                self._drop_connection()
            return None
        if refused:
            raise ScpiError(refused, "scripted fault")
        if not wait:
            return self._run_disturbed(unit, arguments)
        self._spoiled = self._spoiled or SpoiledReply()
        self._spoiled.lag += wait
        until = self.time + wait
        if unit.is_query:
            return Hold(until, lambda: self._run_disturbed(unit, arguments))
        # Whatever comes meanwhile waits behind it, and is not an interruption.
        self._units = (replace(unit, command=None), *self._units[self._at :])
        self._at = 0
        return Hold(until)

    def _run_disturbed(self, unit: Unit, arguments: tuple[Any, ...]) -> Any:
        reply = unit.handler(*arguments)
        if self._spoiled is not None and self._spoiled.drop and not unit.is_query:
            self._drop_message()
            self._drop_connection()
        return reply

    def _drop_connection(self) -> None:
        """The cable is out: what has been sent arrives, what came is not executed any more."""
        self.dropped = True
        self.reader.framer.clear()
        self._inbox.clear()
        self._drop_message()
        self.output = deque((data, 0.0, lag, late) for data, _, lag, late in self.output)

    def _emit_spoiled(self, data: bytes, spoiled: SpoiledReply) -> None:
        self._spoiled = None
        data = spoiled.spoil(data)
        if data:
            late = spoiled.late
            at = 0.0 if late is None else self._clock.now + late if late else math.inf
            self.output.append((data, at, spoiled.lag, late is not None))
            self._unread += len(data)
        if spoiled.drop:
            self._drop_connection()

    # --- common commands ----------------------------------------------------------------------

    def _common(self) -> tuple[Command, ...]:
        always: Callable[..., bool] = lambda *_: True  # noqa: E731
        return (
            Command("*IDN?", lambda: self._device.identity),
            Command("*OPT?", lambda: self._device.options),
            Command("*RST", self._reset, aborts=always),
            Command("*TST?", self._device.self_test),
            Command("*STB?", lambda: str(self.status.byte(message=bool(self._replies) or self.message_available))),
            Command("*OPC", self._operation_complete),
            Command("*OPC?", self._completion),
            Command("*WAI", self._wait),
        )

    def _reset(self) -> Hold | None:
        self._opc_armed = False
        return self._device.reset()

    def _completion(self) -> Hold | str:
        self.waited = self.message
        return Hold(finish=lambda: "1") if self._device.busy else "1"

    def _wait(self) -> Hold | None:
        self.waited = self.message
        return Hold() if self._device.busy else None

    def _operation_complete(self) -> None:
        if self._device.busy:
            self._opc_armed = True
        else:
            self.status.event |= OPERATION_COMPLETE
