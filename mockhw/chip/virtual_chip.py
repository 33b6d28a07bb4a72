"""The one object simulated instruments touch: cells on wires, with a life in simulated time."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from ..device_models.base import DeviceModel, FloatArray, IntArray
from .array_product import ArrayProduct, BoolArray, take_product
from .crossbar_network import Wires, read_rows, row_drop
from .life_file import load_life, new_birth, save_life
from .normal_stream import Float32Array, NormalStream
from .row_ladder import order_passes

if TYPE_CHECKING:
    from ..sim_clock import SimClock
    from .profile import Profile

# The VMM matrices serve until the time since the last disturbance has grown by this fraction (retention goes
# with the logarithm of time), but at least for this long.
_STALE_FRACTION, _STALE_SECONDS = 0.05, 10e-3
_MOST_PRODUCTS = 64


class VirtualChip:
    """A mock memristor chip: cells of one device model on the wires of a crossbar.

    Cells are counted row-major from row 0, column 0. Row drivers sit at column 0, column sense ends at the last
    row (see :mod:`.crossbar_network`). The chip never advances the clock; it only looks at it.

    Parameters
    ----------
    profile : Profile
        Size, wires and devices.
    seed : int
        Everything random about this chip follows from it.
    clock : SimClock
        Simulated time of the bench.
    model : DeviceModel, optional
        Cells to use instead of those the profile makes.

    Attributes
    ----------
    birth : str
        Which chip this is: made with it, kept with its state; another one of the same seed has another.
    rows, cols : int
    cell : str
        ``"1T1R"``.
    gate_axis : str
        ``"col"`` or ``"row"``: the lines that carry the gates.
    wires : Wires
    model : DeviceModel
        The cells; for tests and for the bench, not for instruments.
    """

    def __init__(self, profile: Profile, *, seed: int, clock: SimClock, model: DeviceModel | None = None) -> None:
        self.profile = profile
        self.seed = seed
        self.birth = new_birth()
        self.rows: int = profile.rows
        self.cols: int = profile.cols
        self.cell: str = profile.cell
        if self.cell != "1T1R" or profile.gate_axis is None:
            raise ValueError(f"{self.cell!r} cells live in a PassiveChip: choose a profile with cell '1T1R'")
        self.gate_axis: str = profile.gate_axis
        self.wires = Wires(
            row_ohm=float(profile.wiring.row_segment),
            col_ohm=float(profile.wiring.col_segment),
            driver_ohm=float(profile.wiring.driver),
            sense_ohm=float(profile.wiring.sense),
        )
        if model is None:
            from .profile import make_model

            model = make_model(profile, self.rows * self.cols, seed)
        if model.size != self.rows * self.cols:
            raise ValueError(f"the model has {model.size} cells, the chip {self.rows} × {self.cols}")
        self.model: DeviceModel = model
        self._clock = clock
        self._born_before = 0.0  # chip time minus clock time, set when a saved life is taken up
        self._disturbed = self.now
        self._noise = NormalStream([seed, 0x76_6D_6D])
        self._products: dict[tuple[bool, bytes], ArrayProduct] = {}
        self._expires = 0.0
        self._every = np.arange(self.rows * self.cols, dtype=np.int64)

    @property
    def now(self) -> float:
        """Get the age of the chip in simulated time [s]."""
        return self._clock.now + self._born_before

    def pulse(
        self,
        slot: IntArray,
        cells: IntArray,
        volts: FloatArray,
        width: FloatArray,
        gate: FloatArray,
        count: IntArray,
    ) -> None:
        """Fire rectangular pulses; entries that share a ``slot`` fire together and share their row's wire.

        Slots act in ascending order. Row and wire losses are those of the states before the pulse, all entries
        of a slot overlapping in time; cells that do not appear in a slot are off and neither load nor suffer.

        Parameters
        ----------
        slot : array, [k], int
            Firing of each entry. All entries of a slot are cells of one row, each at most once.
        cells : array, [k], int
            Flat, row-major.
        volts : array, [k], float [V]
            Row minus column at the sources; positive SETs. One sign per slot.
        width : array, [k], float [s]
        gate : array, [k], float [V]
        count : array, [k], int
            How often each entry fires.

        Raises
        ------
        ValueError
            When a slot spans rows or holds a cell twice, or a cell lies outside the chip.
        """
        if cells.size == 0:
            return
        if int(cells.min()) < 0 or int(cells.max()) >= self._every.size:
            raise ValueError(f"cell {cells.min()}…{cells.max()} lies outside a chip of {self.rows} × {self.cols} cells")
        if np.any(slot[1:] < slot[:-1]):
            order = np.argsort(slot, kind="stable")
            slot, cells, volts = slot[order], cells[order], volts[order]
            width, gate, count = width[order], gate[order], count[order]
        row = cells // self.cols
        torn = (slot[1:] == slot[:-1]) & (row[1:] != row[:-1])
        if torn.any():
            where = int(np.argmax(torn))
            raise ValueError(f"slot {slot[where]} spans rows {row[where]} and {row[where + 1]}; a slot fires one row")
        number, passes = order_passes(slot, cells, self._every.size)
        self._moved()
        if passes == 1:
            self._fire(slot, cells, volts, width, gate, count)
            return
        for p in range(passes):
            at = np.flatnonzero(number == p)
            self._fire(slot[at], cells[at], volts[at], width[at], gate[at], count[at])

    def pulse_in_turn(
        self,
        starts: IntArray,
        slot: IntArray,
        cells: IntArray,
        volts: FloatArray,
        width: FloatArray,
        gate: FloatArray,
        count: IntArray,
    ) -> None:
        """Fire as :meth:`pulse` does, call after call: call k has the entries from ``starts[k]`` to ``starts[k + 1]``.

        Cells that are plain steps, on lines without resistance, take them all at once; what comes of it is the same.
        """
        together = getattr(self.model, "pulse_in_turn", None)
        if together is not None and self.wires == Wires(0.0, 0.0, 0.0, 0.0):
            self._moved()
            together(starts, cells, volts, width, gate, count)
            return
        for first, last in pairwise(starts.tolist()):
            at = slice(first, last)
            self.pulse(slot[at], cells[at], volts[at], width[at], gate[at], count[at])

    def _fire(
        self,
        slot: IntArray,
        cells: IntArray,
        volts: FloatArray,
        width: FloatArray,
        gate: FloatArray,
        count: IntArray,
    ) -> None:
        line = np.zeros(slot.size, dtype=np.int64)
        np.cumsum(slot[1:] != slot[:-1], out=line[1:])
        row, col = np.divmod(cells, self.cols)

        def law(volts: FloatArray, series: FloatArray) -> FloatArray:
            return self.model.pulse_current(cells, volts, gate, series)

        left = row_drop(law, volts, line=line, row=row, col=col, shape=(self.rows, self.cols), wires=self.wires)
        self.model.pulse(cells, left.open_volts, width, gate, count, left.series, self.now)

    def read(
        self, rows: slice | IntArray, cols: slice | IntArray, volts: float, gate: float, average: int
    ) -> FloatArray:
        """Measure the column currents [A] of a block, one row driven at a time, columns at virtual ground.

        Includes losses in the wires and the devices' noise, averaged over ``average`` readings; the
        converter is the board's business.

        Parameters
        ----------
        rows, cols : slice or array of int
        volts : float [V]
        gate : float [V]
        average : int

        Returns
        -------
        array, [rows, cols], float [A]
        """
        row = np.arange(self.rows, dtype=np.int64)[rows]
        col = np.arange(self.cols, dtype=np.int64)[cols]
        cells = (row[:, None] * self.cols + col).ravel()
        quiet = self.model.conductance(cells, volts, gate, self.now)
        noisy = np.maximum(quiet + self.model.noise(cells, quiet, average, self.now), 0.0)
        block = noisy.reshape(row.size, col.size)
        return read_rows(block, volts, row=row, col=col, shape=(self.rows, self.cols), wires=self.wires)

    def column_moments(self, rows: slice, col: int, volts: float, gate: float) -> tuple[FloatArray, FloatArray]:
        """Return what cells of one column conduct alone, one after the other, and how that fluctuates, [rows] [S]."""
        row = np.arange(self.rows, dtype=np.int64)[rows]
        quiet = self.model.conductance(row * self.cols + col, volts, gate, self.now)
        seen = read_rows(
            quiet[:, None], volts, row=row, col=np.array([col]), shape=(self.rows, self.cols), wires=self.wires
        )
        through = np.divide(seen[:, 0] / volts, quiet, out=np.ones_like(quiet), where=quiet > 0.0)
        return quiet * through, self.model.noise_sigma(row * self.cols + col, quiet) * through**2

    def vmm(self, volts: Float32Array, gate: float, *, reverse: bool, lines: BoolArray | None = None) -> Float32Array:
        """Return one draw of the currents [A] whose :meth:`vmm_moments` these are, [batch, outputs]."""
        given = np.ascontiguousarray(volts, dtype=np.float32)
        current, variance = self.vmm_moments(given, gate, reverse=reverse, lines=lines)
        self._noise.add(current, variance)
        return current

    def vmm_moments(
        self, volts: Float32Array, gate: float, *, reverse: bool, lines: BoolArray | None = None
    ) -> tuple[Float32Array, Float32Array]:
        """Multiply voltage vectors by the array, all lines at once: what is measured on average, and its spread.

        The array is taken as a matrix that already holds the wires, plus a cubic term where cells are not ohmic,
        plus independent Gaussian noise per output, which whoever measures draws together with that of his
        converters. It is taken anew after every pulse or sweep, at another gate voltage, and when the time since
        the last disturbance has grown by 5 % (and by 10 ms or more).

        Parameters
        ----------
        volts : array, [batch, inputs], float32, contiguous [V]
            Row voltages, or column voltages when ``reverse``.
        gate : float [V]
            Voltage of all gates.
        reverse : bool
            Drive the columns at their sense ends and sense the rows at their driver ends.
        lines : array, bool, optional
            Which lines of ``gate_axis`` have that gate voltage; the gates of the others are closed. None: all.

        Returns
        -------
        mean, variance : array, [batch, outputs], float32 [A], [A²]
            Current into the virtual ground of each column, or row when ``reverse``.
        """
        chosen = b"" if lines is None or lines.all() else lines.tobytes()
        product = self._products.get((reverse, chosen))
        if product is None or product.gate != gate or self.now > self._expires:
            product = self._take_product(gate, reverse, chosen)
        return product.moments(volts)

    def _take_product(self, gate: float, reverse: bool, chosen: bytes) -> ArrayProduct:
        forward = self._products.get((False, chosen))
        if forward is None or forward.gate != gate or self.now > self._expires:
            if forward is not None or self.now > self._expires or len(self._products) >= _MOST_PRODUCTS:
                self._products = {}
            forward = take_product(
                self.model, (self.rows, self.cols), self.wires, gate, self.now, self._conducts(chosen)
            )
            if not self._products:
                self._expires = self.now + max(_STALE_SECONDS, _STALE_FRACTION * (self.now - self._disturbed))
            self._products[False, chosen] = forward
        if reverse:
            self._products[True, chosen] = forward.turned()
        return self._products[reverse, chosen]

    def _conducts(self, chosen: bytes) -> BoolArray | None:
        """Return which cells have their gates open when the lines ``chosen`` have."""
        if not chosen:
            return None
        lines = np.frombuffer(chosen, dtype=np.bool_)
        return np.tile(lines, self.rows) if self.gate_axis == "col" else np.repeat(lines, self.cols)

    def sample(self, row: int, col: int, volts: float, gate: float, rate: float, count: int) -> FloatArray:
        """Measure ``count`` currents [A] of one cell at ``volts`` [V], ``rate`` [1/s]; all other cells off."""
        current = self.model.sample(self._flat(row, col), volts, gate, rate, count, self.now)
        return current if volts == 0.0 else current / (1.0 + current / volts * self._series(row, col))

    def sweep(
        self,
        row: int,
        col: int,
        volts: FloatArray,
        dwell: float,
        gate: float,
        compliance: float,
        *,
        began: float | None = None,
    ) -> FloatArray:
        """Step one cell through ``volts`` [V], ``dwell`` [s] each, at most ``compliance`` [A]; return currents [A].

        ``began`` [s] is when the first step began, on the clock of the bench; now, where it is not told.
        """
        cell = self._flat(row, col)
        self._moved()
        start = self.now if began is None else began + self._born_before
        return self.model.sweep(cell, volts, dwell, gate, compliance, self._series(row, col), start)

    def truth(self) -> dict[str, NDArray[np.generic]]:
        """Return what the model knows of each cell, [rows, cols]; for tests, never for instruments."""
        size = self._every.size
        return {
            name: values.reshape(self.rows, self.cols) if values.shape == (size,) else values
            for name, values in self.model.truth().items()
        }

    def save(self, path: str | os.PathLike[str], *, settle: bool = True) -> None:
        """Write the chip's state to an ``.npz`` file, whole or not at all; ``settle`` changes nothing here."""
        life = {
            **self._kind,
            "birth": self.birth,
            "seed": self.seed,
            "now": self.now,
            "disturbed": self._disturbed,
        }
        arrays = {f"model.{name}": values for name, values in self.model.state().items()}
        save_life(Path(path), life, {"noise": self._noise.state(), **arrays})

    def load(self, path: str | os.PathLike[str]) -> None:
        """Take up the life saved in ``path``; the time the bench was off does not count.

        Raises
        ------
        ValueError
            When the file is damaged, or holds another chip.
        """
        life, arrays = load_life(Path(path), self._kind)
        if "noise" not in arrays:
            raise ValueError(f"{path} does not fit this model: missing noise")
        self.model.restore({name[6:]: values for name, values in arrays.items() if name.startswith("model.")})
        self._noise.restore(cast("Any", arrays["noise"]))
        self.birth = life["birth"]
        self.seed = int(life["seed"])
        self._born_before = float(life["now"]) - self._clock.now
        self._disturbed = float(life["disturbed"])
        self._products = {}

    @property
    def _kind(self) -> dict[str, Any]:
        """What a file must say of the chip that takes it up."""
        return {"profile": self.profile.name, "rows": self.rows, "cols": self.cols}

    def _moved(self) -> None:
        self._products = {}
        self._disturbed = self.now

    def _flat(self, row: int, col: int) -> int:
        if not (0 <= row < self.rows and 0 <= col < self.cols):
            raise ValueError(f"cell ({row}, {col}) lies outside a chip of {self.rows} × {self.cols} cells")
        return row * self.cols + col

    def _series(self, row: int, col: int) -> float:
        return float(self.wires.row_series(self.cols)[col] + self.wires.column_series(self.rows)[row])
