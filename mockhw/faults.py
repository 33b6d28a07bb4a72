"""Faults a bench file declares: what goes wrong, at which command, how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

FaultKind = Literal[
    "late_reply",
    "garbled_reply",
    "no_reply",
    "drop_connection",
    "full_error_queue",
    "error",
    "overflow",
]

KINDS: Final[tuple[str, ...]] = get_args(FaultKind)


@dataclass(frozen=True, slots=True)
class Fault:
    """One scripted fault.

    Attributes
    ----------
    kind : str
        ``late_reply`` (comes ``seconds`` later), ``garbled_reply``, ``no_reply``, ``drop_connection``,
        ``full_error_queue``, ``error`` (the command fails with ``code``), ``overflow`` (the converters saturate).
    header : str
        The command it hits, spelled as the instrument's command table has it; empty: every command.
    after : int
        How many such commands pass unharmed first.
    times : int
        How many are hit.
    seconds : float [s]
        Simulated delay of ``late_reply``.
    code : int
        Error number of ``error``.
    """

    kind: FaultKind
    header: str = ""
    after: int = 0
    times: int = 1
    seconds: float = 0.0
    code: int = -240


class FaultPlan:
    """The faults of one instrument and how often each command has been seen.

    Parameters
    ----------
    faults : sequence of Fault
        With headers already in the spelling of the command table.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        self._seen = [0] * len(self.faults)
        self._overflow = False

    def due(self, header: str) -> list[Fault]:
        """Return the faults that strike this execution of ``header``."""
        striking: list[Fault] = []
        for index, fault in enumerate(self.faults):
            if fault.header and fault.header != header:
                continue
            seen = self._seen[index]
            self._seen[index] = seen + 1
            if fault.after <= seen < fault.after + fault.times:
                striking.append(fault)
                self._overflow = self._overflow or fault.kind == "overflow"
        return striking

    def take_overflow(self) -> bool:
        """Return whether the converters shall saturate in the action that starts now."""
        overflow, self._overflow = self._overflow, False
        return overflow
