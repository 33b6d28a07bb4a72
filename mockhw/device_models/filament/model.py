"""The filament model: one-state 1T1R physics behind the :class:`~.base.DeviceModel` interface."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base import FloatArray, IntArray
from ..random_streams import student_table
from .kernel import present_currents, pulse_cells, sweep_cell
from .parameters import FilamentParameters
from .population import draw_cells, make_law
from .read_kernel import noise_cells, noise_sigma_cells, read_cells, sample_cell
from .types import BUILD, CELL, HEALTHY, as_record

_MICRO = 1e6
_SI = 1e-6
_LATER = ("relax_gain", "flicker", "flicker_gain", "t_flicker")


class FilamentModel:
    """A population of filamentary 1T1R cells, virgin at first.

    One state per cell, y = ln(Gc/µS), and a small memory of how hard it was last SET. Pulses, DC sweeps,
    half-select disturb, retention and read noise all come from the same equations; what each number rests
    on is written beside it in the profile.

    Parameters
    ----------
    parameters : FilamentParameters
        From a profile.
    size : int
        Number of cells.
    seed : int
        Fixes the population and all that happens to it. Every cell has its own random stream, so results
        do not depend on how cells are grouped into calls.
    """

    def __init__(self, parameters: FilamentParameters, size: int, seed: int) -> None:
        self.size = size
        self.parameters = parameters
        law = make_law(parameters)
        self._numbers = law
        # Any: record arrays, which compiled code sees as sequences of Law and Cell.
        self._law: Any = as_record(law)
        self._cells: Any = draw_cells(parameters, size, seed)
        self._vt = self._cells["vt"].copy()
        self._pulses = np.zeros(size, np.int64)
        self._table = student_table(law.noise_dof)

    def pulse(
        self,
        cells: IntArray,
        volts: FloatArray,
        width: FloatArray,
        gate: FloatArray,
        count: IntArray,
        series: FloatArray,
        now: float,
    ) -> None:
        """Apply ``count`` pulses of ``volts`` [V], ``width`` [s], ``gate`` [V], behind ``series`` [Ω], to each cell."""
        pulse_cells(
            self._law,
            self._cells,
            self._vt,
            self._pulses,
            _integers(cells),
            _floats(volts),
            _floats(width) * _MICRO,
            _floats(gate),
            _integers(count),
            _floats(series) * _SI,
            float(now),
        )

    def pulse_current(self, cells: IntArray, volts: FloatArray, gate: FloatArray, series: FloatArray) -> FloatArray:
        """Return the current [A] each cell would draw now at ``volts`` [V], ``gate`` [V]; changes nothing."""
        out = np.empty(len(cells))
        present_currents(
            self._law, self._cells, _integers(cells), _floats(volts), _floats(gate), _floats(series) * _SI, out
        )
        out *= _SI
        return out

    def conductance(self, cells: IntArray, volts: float, gate: float, now: float) -> FloatArray:
        """Return noise-free I/V [S] through series resistance and transistor; relaxation is applied up to ``now``."""
        out = np.empty(len(cells))
        read_cells(self._law, self._cells, _integers(cells), float(volts), float(gate), float(now), out)
        out *= _SI
        return out

    def noise(self, cells: IntArray, conductance: FloatArray, average: int, now: float) -> FloatArray:
        """Return one draw of the reading's deviation [S]; telegraph traps move on to ``now``."""
        out = np.empty(len(cells))
        noise_cells(
            self._law,
            self._cells,
            self._table,
            _integers(cells),
            _floats(conductance),
            max(1, int(average)),
            float(now),
            out,
        )
        return out

    def noise_sigma(self, cells: IntArray, conductance: FloatArray) -> FloatArray:
        """Return the standard deviation [S] of one reading, fast noise and traps together."""
        out = np.empty(len(cells))
        noise_sigma_cells(self._law, self._cells, _integers(cells), _floats(conductance), out)
        return out

    def sample(self, cell: int, volts: float, gate: float, rate: float, count: int, now: float) -> FloatArray:
        """Return ``count`` currents [A] sampled at ``rate`` [1/s]: 1/f noise, telegraph traps, white noise."""
        start = self.conductance(np.array([cell]), volts, gate, now)[0]
        out = np.empty(int(count))
        sample_cell(self._law, self._cells, int(cell), float(start * volts), 1.0 / float(rate), float(now), out)
        return out

    def sweep(
        self, cell: int, volts: FloatArray, dwell: float, gate: float, compliance: float, series: float, now: float
    ) -> FloatArray:
        """Step one cell through ``volts`` [V]; return the current [A] at each step's end, within ``compliance`` [A]."""
        points = _floats(volts)
        out = np.empty(points.size)
        sweep_cell(
            self._law,
            self._cells,
            self._table,
            int(cell),
            points,
            float(dwell) * _MICRO,
            float(gate),
            float(compliance) * _MICRO,
            float(series) * _SI,
            float(now),
            out,
        )
        out *= _SI
        # Clamped again: rounding in the change of units must not exceed the limit.
        return np.clip(out, -compliance, compliance)

    def truth(self) -> dict[str, NDArray[np.generic]]:
        """Return what only the mock knows, per cell, at the last moment each cell was touched.

        ``conductance`` [S] is at the profile's read gate; ``stuck`` includes broken and worn-out cells
        (``kind``: 0 healthy, 1 open, 2 stuck on, 3 short).
        """
        cells = self._cells
        kind = cells["kind"]
        return {
            "stuck": kind != HEALTHY,
            "kind": kind.copy(),
            "formed": (cells["formed"] != 0) & (kind == HEALTHY),
            "conductance": _SI / (cells["rs"] + np.exp(-cells["y"])),
            "pulses": self._pulses.copy(),
            "forming_volts": cells["vf"].copy(),
            "wear_cycles": cells["wear"].copy(),
            "endurance_cycles": cells["endurance"].copy(),
            "traps": cells["traps"].copy(),
        }

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return a copy of every array needed to continue this chip's life."""
        return {name: array.copy() for name, array in self._own().items()}

    def restore(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Take up the life saved by :meth:`state`.

        Raises
        ------
        ValueError
            If arrays are missing, unknown or of another size; the message names them.
        """
        own = self._own()
        # Files of before slow noise was kept with a cell: it is as this model drew it.
        state = {**{name: own[name].copy() for name in _LATER}, **state}
        if set(state) != set(own):
            missing, unknown = sorted(set(own) - set(state)), sorted(set(state) - set(own))
            raise ValueError(f"chip state does not fit this model: missing {missing}, unknown {unknown}")
        for name, array in own.items():
            if state[name].shape != array.shape:
                raise ValueError(f"chip state {name!r} has shape {state[name].shape}, this chip needs {array.shape}")
        for name, array in own.items():
            array[...] = state[name]
        self._vt = self._cells["vt"].copy()

    def _own(self) -> dict[str, NDArray[np.generic]]:
        names = [name for name in CELL.names or () if name not in ("pad", "spare", BUILD)]
        return {"pulses": self._pulses, **{name: self._cells[name] for name in names}}

    def assume_formed(self, conductance: FloatArray | float, now: float = 0.0) -> None:
        """Declare all healthy cells formed at ``conductance`` [S], as read at the read gate (a used chip)."""
        cells = self._cells
        low, high = self._numbers.y_min, self._numbers.y_max
        target = np.clip(np.broadcast_to(np.asarray(conductance, np.float64), (self.size,)) / _SI, 1e-3, None)
        gc = 1.0 / np.maximum(1.0 / target - cells["rs"], np.exp(-high))
        healthy = cells["kind"] == HEALTHY
        cells["y"][healthy] = np.clip(np.log(gc), low, high)[healthy]
        cells["gc"] = np.exp(cells["y"])
        cells["formed"][healthy] = 1
        cells["t_move"][healthy] = now
        cells["t_relax"][healthy] = now

    def assume_cycled(self, cycles: float) -> None:
        """Declare all healthy cells aged by ``cycles`` full cycles (a used chip); none of them fails of it."""
        cells, law = self._cells, self._numbers
        healthy = cells["kind"] == HEALTHY
        wear = cells["wear"][healthy]
        after = np.minimum(wear + cycles, np.maximum(wear, 0.99 * cells["endurance"][healthy]))
        end = cells["endurance"][healthy] ** 2
        harder = law.age_power * np.log((law.age_cycles + after) / (law.age_cycles + wear))
        cells["ur"][healthy] *= np.exp(harder + law.fade * (after**2 - wear**2) / end)
        cells["wear"][healthy] = after


def _floats(values: FloatArray) -> FloatArray:
    return np.ascontiguousarray(values, np.float64)


def _integers(values: IntArray) -> IntArray:
    return np.ascontiguousarray(values, np.int64)
