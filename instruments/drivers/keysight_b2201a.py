"""Keysight B2201A switch matrix: the paths asked for and no others, opened before anything is closed, and read back.

Commands as in the Agilent B2200 User's Guide, auto configuration mode (14 inputs, 48 outputs, card 0).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from typing import Any

import numpy as np
from qcodes.instrument_drivers.Keysight import KeysightB2201

from ...common.errors import RefusedError
from ..errors import InstrumentError
from ..limits import Limits
from ..wire.binding import EchoBinding
from ..wire.command_guard import split_outside_quotes
from ..wire.doors import GuardedInstrument, alone
from ..wire.parts import Wire
from .allowed import ALLOWED_B2201A, RULES_B2201A
from .carried_limits import ChipLimits, carried
from .source_limits import SourceLimits
from .stress import Stress, Unheard

INPUTS, OUTPUTS = 14, 48
Path = tuple[int, int]

_READ_BACK = "*OPC?;:ROUT:CLOS:CARD? 0"
# Query, device-dependent, execution and command errors of the standard event register.
_ERROR_BITS = 0b111100
_CLOSING = re.compile(r"\s*:?(?:ROUT(?:E)?:)?CLOS(?:E)?(?::LIST)?\s*(\(.*)", re.IGNORECASE)
_CHANNELS = re.compile(r"\(@\s*((?:\d{5}\s*,\s*)*\d{5})\s*\)\s*")


class KeysightB2201AMatrix(GuardedInstrument, KeysightB2201):
    """QCoDeS's Keysight B2201 as the switch matrix of a crossbar.

    It does not know what its ports carry: set sources to 0 V and off before a path changes.
    """

    _model = "B2201A"
    stress: Stress = Unheard()
    """Who counts what the chip gets by hand."""
    ports = (INPUTS, OUTPUTS)

    settle: float = 0.01
    """Wait after a change, for relays and leakage to settle [s]."""

    _closed: frozenset[Path] | None = None

    def __init__(
        self,
        name: str,
        address: str | None = None,
        *,
        chip: ChipLimits | str | PathLike[str] | None = None,
        limits: Limits | Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        self._hold(
            Wire(
                name,
                binding=EchoBinding(),
                going_idle=(("all relays open", "ROUT:OPEN:CARD ALL"),),
                safe_when=("ROUT:CLOS:CARD? 0", ""),
                hangup_effect="what it drives stays: switch its output off by hand",
                clears=True,
            )
        )
        self.guard = SourceLimits(name, RULES_B2201A, carried(name, chip, limits), allowed=ALLOWED_B2201A)
        with self._opening():
            super().__init__(name, address, **kwargs)  # pyright: ignore[reportArgumentType]
            self._prepare()

    def _prepare(self) -> None:
        # The shipped driver warns when this register is not zero; here it raises.
        self.get_status.get_parser = self._judge_status  # pyright: ignore[reportAttributeAccessIssue]
        self.wire.exchange.act("ROUT:FUNC ACON;:ROUT:CONN:RULE 0,FREE;:ROUT:CONN:SEQ 0,BBM")
        self._closed = self._read_back("", frozenset())

    def _forget_settings(self) -> None:
        self._closed = None

    @property
    def closed(self) -> frozenset[Path]:
        """The closed paths, as (input, output)."""
        if self._closed is None:
            question = "ROUT:CLOS:CARD? 0"
            (reply,) = self.wire.exchange.ask(question, 1)
            self._closed = self._paths(reply, question)
        return self._closed

    @alone
    def connect_only(self, paths: Iterable[Path]) -> None:
        """Open what is not asked for, then close what is missing, read back and wait for it to settle.

        Parameters
        ----------
        paths : of (input, output)
            Inputs 1 to 14, outputs 1 to 48; an output takes one input, an input any number of outputs.

        Raises
        ------
        RefusedError
            A port that does not exist, or two inputs on one output: nothing was sent.
        InstrumentError
            The instrument refused, or says that other paths are closed.
        """
        wanted = frozenset(self._port_pair(path) for path in paths)
        self._refuse_shorts(wanted)
        before = self.closed
        opening, closing = before - wanted, wanted - before
        if not opening and not closing:
            return
        self.stress.ties(before, wanted)
        self._closed = None  # until it is read back
        if opening:
            command = "ROUT:OPEN:CARD 0" if opening == before else f"ROUT:OPEN {channel_list(opening)}"
            self._closed = self._read_back(f"{command};", before - opening)
        if closing:
            self._closed = None
            self._closed = self._read_back(f"ROUT:CLOS {channel_list(closing)};", wanted)
        if self.settle:
            self.clock.wait(self.settle)

    @alone
    def open_all(self) -> None:
        """Open every path and read back."""
        self._closed = None
        self._closed = self._read_back("ROUT:OPEN:CARD 0;", frozenset())

    def _read_back(self, command: str, expected: frozenset[Path]) -> frozenset[Path]:
        """Send a command that changes paths and return what is closed after it; raise when that is not ``expected``."""
        message = command + _READ_BACK
        _, reply = self.wire.exchange.ask(message, 2)
        closed = self._paths(reply, message)
        if closed != expected:
            missing, extra = channel_list(expected - closed), channel_list(closed - expected)
            raise InstrumentError(
                f"{self.name} at {self.place} did not do what {command or 'it was asked'} says: {missing} should be "
                f"closed and is not, {extra} is closed and should not be; check for couple, bias or ground mode"
            )
        return closed

    def _paths(self, reply: str, question: str) -> frozenset[Path]:
        if reply.strip(" ()@\"'") and not re.fullmatch(r"[(@\d,) ]+", reply):
            raise self.wire.faults.garbled(question, reply)
        return frozenset(self.parse_channel_list(reply))

    def _port_pair(self, path: Path) -> Path:
        source, line = path
        for port, most, kind in ((source, INPUTS, "input"), (line, OUTPUTS, "output")):
            if isinstance(port, bool) or not isinstance(port, int | np.integer) or not 1 <= port <= most:
                raise RefusedError(f"{self.name} has no {kind} {port!r}: choose 1 to {most}")
        return int(source), int(line)

    def _refuse_shorts(self, paths: frozenset[Path]) -> None:
        taken: dict[int, int] = {}
        for source, line in sorted(paths):
            if line in taken:
                raise RefusedError(
                    f"{self.name}: inputs {taken[line]} and {source} on output {line} would short two sources: "
                    "give an output one input"
                )
            taken[line] = source

    # -- the doors of QCoDeS ------------------------------------------------------------------------------------------

    def _check(self, cmd: str) -> None:
        super()._check(cmd)
        for added in self._closing(cmd):
            self._refuse_shorts(self.closed | added)

    def _heard_by_hand(self, cmd: str) -> None:
        # What is opened in the same message counts as closed meanwhile: nobody knows in which order it is done.
        for added in self._closing(cmd):
            self.stress.ties(self.closed, self.closed | added)
        super()._heard_by_hand(cmd)

    def _closing(self, cmd: str) -> Iterator[frozenset[Path]]:
        """Yield the paths that every command of a message would close."""
        for unit in split_outside_quotes(cmd, ";"):
            match = _CLOSING.fullmatch(unit)
            if match is None:
                continue
            channels = _CHANNELS.fullmatch(match[1])
            if channels is None:
                raise RefusedError(f"{unit.strip()!r}: write channels one by one, as in (@00101,00202)")
            numbers = [number.strip() for number in channels[1].split(",")]
            yield frozenset(self._port_pair((int(number[1:3]), int(number[3:]))) for number in numbers)

    def _judge_status(self, reply: str) -> int:
        """Return the event register; an error bit raises with the error queue."""
        status = int(reply)
        if status & _ERROR_BITS:
            raise self.wire.faults.reported(self.drain_errors(), f"*ESR? {status}")
        return status


def channel_list(paths: Iterable[Path]) -> str:
    """Return paths as the instrument writes them: ``(@00101,00202)``."""
    return f"(@{','.join(f'0{source:02d}{line:02d}' for source, line in sorted(paths))})"
