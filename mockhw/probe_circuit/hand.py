"""Somebody who puts the two probes of a source-measure unit on single devices, as asked or clumsily."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from .circuit import GROUND, ProbeCircuit

if TYPE_CHECKING:
    from ..instrument import BenchLog
    from ..passive_chip.chip import PassiveChip
    from ..sim_clock import SimClock
    from .relays import Path

RIGHT, OPEN, SHORT = "right", "open", "short"
_HIGH, _LOW = 1, 2


class Hand:
    """The probes, and who moves them: probes moved under voltage are noted as relays are.

    Parameters
    ----------
    chip : PassiveChip
    clock : SimClock
    log : BenchLog
    smu : str
        The instrument whose leads the probes are; LO is the bench's 0 V.
    devices : mapping of str to (row, col)
    connected : str, optional
        Device the probes are on at the beginning.
    contact_ohms : float [Ω]
        Lead and contact of one probe.
    script : sequence of str
        What the next connections come to: "right", "open", "short", or another device.

    Attributes
    ----------
    circuit : ProbeCircuit
    asked : list of str
        What was asked for, in order; for tests.
    script : list of str
    """

    def __init__(
        self,
        chip: PassiveChip,
        clock: SimClock,
        log: BenchLog,
        *,
        smu: str,
        devices: Mapping[str, tuple[int, int]],
        connected: str | None,
        contact_ohms: float,
        script: Sequence[str],
    ) -> None:
        for name, (row, col) in devices.items():
            if not (0 <= row < chip.rows and 0 <= col < chip.cols):
                raise ValueError(f"device {name} is ({row}, {col}), outside the chip of {chip.rows} × {chip.cols}")
        for word in (*script, *([] if connected is None else [connected])):
            if word not in {RIGHT, OPEN, SHORT, *devices}:
                raise ValueError(f"{word!r} is none of {RIGHT}, {OPEN}, {SHORT} and the devices {', '.join(devices)}")
        self._clock, self._devices, self._rows = clock, dict(devices), chip.rows
        outputs = range(1, chip.rows + chip.cols + 1)
        self.circuit: Final = ProbeCircuit(
            chip, clock, log, inputs={_HIGH: smu, _LOW: GROUND}, outputs=outputs, relay_ohms=contact_ohms
        )
        self.circuit.place = self.connect
        self.asked: list[str] = []
        self.script = list(script)
        if connected is not None:
            self._move(self._on(connected))

    def connect(self, name: str) -> None:
        """Put the probes on a device, or what the script says instead.

        Raises
        ------
        ValueError
            There is no such device.
        """
        if name not in self._devices:
            raise ValueError(f"there is no device {name!r}; there are {', '.join(self._devices)}")
        self.asked.append(name)
        comes = self.script.pop(0) if self.script else RIGHT
        on = self._on(name)
        if comes == OPEN:
            on = {path for path in on if path[0] == _LOW}
        elif comes == SHORT:
            row = next(output for port, output in on if port == _HIGH)
            on |= {(_LOW, row)}
        elif comes != RIGHT:
            on = self._on(comes)
        self._move(on)

    def _on(self, name: str) -> set[Path]:
        row, col = self._devices[name]
        return {(_HIGH, 1 + row), (_LOW, 1 + self._rows + col)}

    def _move(self, on: set[Path]) -> None:
        closed = set(self.circuit.relays.closed)
        self.circuit.switch(self._clock.now, open=sorted(closed - on), close=sorted(on - closed))
