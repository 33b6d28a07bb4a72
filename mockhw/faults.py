"""Faults on demand: what goes wrong, at which command, on schedule or by chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, get_args

import numpy as np

FaultKind = Literal[
    "late_reply",
    "garbled_reply",
    "truncated_reply",
    "double_reply",
    "no_reply",
    "delay",
    "drop_connection",
    "full_error_queue",
    "error",
    "overflow",
    "compliance",
    "brown_out",
    "stuck_cell",
    "offset_shift",
]
FaultPlace = Literal["before", "inside", "after"]
StuckHow = Literal["here", "open", "short"]

KINDS: Final[tuple[str, ...]] = get_args(FaultKind)
UNSUPPORTED: Final = "not supported"


@dataclass(frozen=True, slots=True)
class Fault:
    """One scripted fault.

    Attributes
    ----------
    kind : str
        On the wire: ``delay`` (the instrument takes ``seconds`` longer over the command; a message that arrives
        meanwhile interrupts a query), ``late_reply`` (the command is done, its reply arrives ``seconds`` later
        whatever is sent meanwhile, or with 0 s only once the next message was sent), ``garbled_reply``,
        ``truncated_reply`` (the second half never comes), ``double_reply``, ``no_reply``, ``drop_connection``.
        In the instrument: ``full_error_queue``, ``error`` (the command is refused with ``code``), ``overflow`` (the
        next reading saturates), ``compliance`` (the next reading or sweep meets its current limit), ``brown_out``
        (all settings as after power-on, and nobody is told), ``stuck_cell``, ``offset_shift``.
    header : str
        The command it hits, spelled as the instrument's command table has it; empty: every command.
    after : int
        How many such commands pass unharmed first.
    times : int, optional
        How many are hit. None: one, or with ``probability`` any number.
    seconds : float [s]
        Of ``delay`` and ``late_reply``: simulated time, and wall-clock time as well over TCP.
    code : int
        Error number of ``error``.
    probability : float, optional
        Chance that it hits; None: it does for certain.
    where : str
        Of ``drop_connection`` and ``no_reply``. ``before``: the command is lost with it. ``inside``: the connection
        goes in the middle of the block the command carries (which is then not executed), else in the middle of its
        reply. ``after``: the command is executed and a reply to be sent has left (``no_reply``: is lost).
    cell : (int, int), optional
        Row and column of ``stuck_cell``; None: one by chance.
    stuck : str
        ``here`` (in the state it is in), ``open`` or ``short``.
    amps : float [A]
        Of ``offset_shift``: what the converters read too much from now on.
    """

    kind: FaultKind
    header: str = ""
    after: int = 0
    times: int | None = None
    seconds: float = 0.0
    code: int = -240
    probability: float | None = None
    where: FaultPlace = "before"
    cell: tuple[int, int] | None = None
    stuck: StuckHow = "here"
    amps: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is no fault; known are {', '.join(KINDS)}")
        if self.probability is not None and not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"probability {self.probability} of {self.kind} is not between 0 and 1")

    @property
    def text(self) -> str:
        """What a log calls it."""
        details = {"drop_connection": self.where, "error": str(self.code), "stuck_cell": self.stuck}
        detail = details.get(self.kind, self.where if self.kind == "no_reply" and self.where != "before" else "")
        return f"{self.kind} {detail}" if detail else self.kind


class Strike(NamedTuple):
    """A fault that strikes, and a number in [0, 1) of its own to choose by."""

    fault: Fault
    luck: float


class FaultPlan:
    """The faults of one instrument and how often each command has been seen.

    Parameters
    ----------
    faults : sequence of Fault
        With headers already in the spelling of the command table.
    seed : int or sequence of int
        Entropy of what happens by chance; every fault has a stream of its own.

    Attributes
    ----------
    struck : list of int
        How often each fault has struck.
    """

    def __init__(self, faults: Sequence[Fault], seed: int | Sequence[int] = 0) -> None:
        self.faults = tuple(faults)
        self.struck = [0] * len(self.faults)
        self._seen = [0] * len(self.faults)
        root = [seed] if isinstance(seed, int) else list(seed)
        self._luck = [np.random.default_rng([*root, 0x66_61_75, index]) for index in range(len(self.faults))]

    def due(self, header: str) -> list[Strike]:
        """Return the faults that strike this execution of ``header``."""
        striking: list[Strike] = []
        for index, fault in enumerate(self.faults):
            if fault.header and fault.header != header:
                continue
            self._seen[index] += 1
            times = fault.times if fault.times is not None else 1 if fault.probability is None else None
            if self._seen[index] <= fault.after or (times is not None and self.struck[index] >= times):
                continue
            chance, luck = self._luck[index].random(2)
            if fault.probability is not None and chance >= fault.probability:
                continue
            self.struck[index] += 1
            striking.append(Strike(fault, float(luck)))
        return striking
