"""Reads of single devices: one after the other, each at 0 V and at its voltage."""

from __future__ import annotations

import numpy as np

from ...array_spec import ArraySpec
from ...block import Block
from ...capabilities import Reading
from ...chip.requests import Look, checked_read
from ...wire.recovery import FAULTS_OF_THE_LINK
from .rig import DeviceRig, Played

_EMPIRICAL = 4
"""From so many conversions on, their spread says how sure their mean is."""


class DeviceReads:
    """The source goes to 0 V, to the voltage of the read, and to 0 V.

    Parameters
    ----------
    rig : DeviceRig
    spec : ArraySpec
    nplc : float
        Mains cycles of a reading.
    """

    def __init__(self, rig: DeviceRig, spec: ArraySpec, *, nplc: float) -> None:
        self._rig, self._spec, self._nplc = rig, spec, nplc

    def read(
        self,
        cells: Block,
        volts: float | None = None,
        *,
        average: int = 1,
        gate: float | None = None,
        scheme: str | None = None,
    ) -> Reading:
        """Measure devices one by one; conductance is the change of the current over that of the voltage as measured.

        Parameters
        ----------
        volts : float [V]
            Default ``spec.read_volts``.
        average : int
            Readings per device.
        """
        rig, spec = self._rig, self._spec
        asked = checked_read(spec, cells, volts, average=average, gate=gate, scheme=scheme)
        rig.limits.one("source_volts", asked.volts, channel="read")
        current, error, across = np.zeros(cells.shape), np.zeros(cells.shape), np.ones(cells.shape)
        flags = np.zeros(cells.shape, dtype=np.uint8)

        def look(row: int, col: int) -> None:
            with rig.acting(rig.smu):
                rig.bring(cells.row0 + row, cells.col0 + col)
                rig.smu.integrate(self._nplc)
                found = self._read_device(asked)
                current[row, col], error[row, col], across[row, col], flags[row, col] = found

        repeats = 1
        with rig.lock:
            for row, col in np.ndindex(cells.shape):
                try:
                    look(row, col)
                except FAULTS_OF_THE_LINK as fault:
                    if not repeats:
                        raise
                    repeats -= 1
                    rig.begin_again(fault)
                    look(row, col)
        rig.count(slots=cells.size * asked.average, seconds=cells.size * asked.average * spec.read_slot_seconds)
        return Reading(
            block=cells,
            volts=asked.volts,
            current=current,
            conductance=current / across,
            stderr=error / np.abs(across),
            flags=flags,
        )

    def _read_device(self, asked: Look) -> tuple[float, float, float, int]:
        """Return current [A], its standard error [A], the voltage across the device [V] and flags."""
        rig, level, facts = self._rig, self._rig.polarity * asked.volts, self._rig.smu.facts
        amps, volts, flags = list[float](), list[float](), 0
        for count in rig.pieces(asked.average, 1, self._spec.read_slot_seconds):
            seen = rig.play(np.array([0.0, *[level] * count, 0.0]), compliance=rig.limits.current_max)
            amps += (rig.polarity * (seen.current[1:-1] - _ends(seen, "current"))).tolist()
            volts += (rig.polarity * (seen.volts[1:-1] - _ends(seen, "volts"))).tolist()
            flags |= int(np.bitwise_or.reduce(seen.flags))
        mean = float(np.mean(amps))
        error = np.hypot(facts.relative_noise * mean, facts.zero_noise) / np.sqrt(asked.average)
        if asked.average >= _EMPIRICAL:
            error = max(error, float(np.std(amps, ddof=1)) / np.sqrt(asked.average))
        return mean, float(error), float(np.mean(volts)), flags


def _ends(seen: Played, what: str) -> float:
    """Return what was there at 0 V, before and after."""
    values = getattr(seen, what)
    return 0.5 * float(values[0] + values[-1])
