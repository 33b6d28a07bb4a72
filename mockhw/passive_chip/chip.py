"""The one object simulated instruments touch on a passive chip: cells between lines, and what is tied to the lines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..chip.crossbar_network import Wires
from ..chip.life_file import load_life, new_birth, save_life
from ..device_models.graded.kernel import read_factors
from ..device_models.graded.parameters import GradedParameters
from ..device_models.graded.population import draw_cells, make_law
from ..device_models.graded.types import BUILD, HEALTHY, Floats, as_record
from .bias import Bias, Solution
from .drive import Drive, make_drive, tie_lines
from .life import live_through, report, show_all
from .lines import Lines, draw_lines
from .network import make_network

if TYPE_CHECKING:
    from ..chip.profile import Profile
    from ..sim_clock import SimClock

_SOLUTION = ("volts", "inner", "amps", "slope")
_LINES = ("kind", "lead", "leak", "bridge")
_LATER = ("traps", "trap_state", "trap_tau", "trap_occupied", "trap_step", "flicker", "worn")
"""Of cells: what files of earlier versions lack."""
_READ_VOLTS = 1e-9  # accuracy [V] of node voltages when a current is reported


__all__ = ["Bias", "PassiveChip", "Solution"]


class PassiveChip:
    """A mock crossbar without transistors: whatever is tied to its lines acts on all of its cells.

    Positive cell voltage, row minus column, SETs. The chip never advances the clock; it only looks at it.

    Parameters
    ----------
    profile : Profile
        Of a passive chip with cells of the ``graded`` model.
    seed : int
        Everything random about this chip follows from it.
    clock : SimClock
        Simulated time of the bench.

    Attributes
    ----------
    birth : str
        Which chip this is: made with it, kept with its state; another one of the same seed has another.
    rows, cols : int
    cell : str
        ``"passive"``.
    gate_axis : None
        There are no gates.
    wires : Wires
    """

    def __init__(self, profile: Profile, *, seed: int, clock: SimClock) -> None:
        if profile.cell != "passive" or not isinstance(profile.parameters, GradedParameters):
            raise ValueError(
                f"profile {profile.name!r} has {profile.cell} cells of model {profile.model!r}: "
                "a passive chip needs cell 'passive' and model 'graded'"
            )
        self.profile = profile
        self.seed = seed
        self.birth = new_birth()
        self.rows: int = profile.rows
        self.cols: int = profile.cols
        self.cell: str = profile.cell
        self.gate_axis: None = None
        self.wires = Wires(
            row_ohm=float(profile.wiring.row_segment),
            col_ohm=float(profile.wiring.col_segment),
            driver_ohm=float(profile.wiring.driver),
            sense_ohm=float(profile.wiring.sense),
        )
        self._clock = clock
        self._born_before = 0.0  # chip time minus clock time, set when a saved life is taken up
        size = self.rows * self.cols
        # Any: record arrays, which compiled code sees as sequences of Law and Cell.
        self._law: Any = as_record(make_law(profile.parameters))
        self._cells: Any = draw_cells(profile.parameters, size, seed)
        self._net = make_network(self.rows, self.cols, self.wires.row_ohm, self.wires.col_ohm)
        self._lines = draw_lines(profile.parameters.lines, self.rows, self.cols, seed)
        self.lay(self._lines)
        self._drive: Drive = make_drive(self.rows + self.cols, 0, 2 * size)
        self._tied: NDArray[np.int64] | None = None
        self._quiet = np.ones(size)
        show_all(self._law, self._cells, self._net)

    @property
    def now(self) -> float:
        """Get the age of the chip in simulated time [s]."""
        return self._clock.now + self._born_before

    def hold(self, bias: Bias, seconds: float) -> None:
        """Let the cells live under a static bias for ``seconds`` [s]."""
        if not seconds >= 0.0:
            raise ValueError(f"time runs forward only: cannot hold for {seconds} s")
        drive = self._tie(bias)
        live_through(
            self._law, self._cells, self._net, drive, bias.volts[None, :].astype(np.float64), np.array([seconds]), 1,
            False, self.now, self.now,
        )  # fmt: skip

    def play(self, bias: Bias, volts: Floats, seconds: Floats, repeats: int = 1) -> None:
        """Play piecewise constant voltages, ``repeats`` times over.

        Parameters
        ----------
        bias : Bias
            Ties, resistances and limits; its voltages are replaced.
        volts : array, [segments, sources], float [V]
        seconds : array, [segments], float [s]
        repeats : int
        """
        volts = np.ascontiguousarray(volts, np.float64)
        seconds = np.ascontiguousarray(seconds, np.float64)
        if volts.shape != (seconds.size, bias.volts.size):
            raise ValueError(
                f"volts has shape {volts.shape}: give {seconds.size} segments of {bias.volts.size} sources each"
            )
        if not (np.isfinite(volts).all() and np.all(seconds >= 0.0)):
            raise ValueError("a waveform needs finite volts and durations of 0 s or more")
        drive = self._tie(bias)
        end = self.now + float(seconds.sum()) * int(repeats)
        live_through(self._law, self._cells, self._net, drive, volts, seconds, int(repeats), True, self.now, end)

    def solve(self, bias: Bias) -> Solution:
        """Return voltages and currents in the present state, free of noise; limits act at once."""
        return self._present(bias, self._quiet)

    def measure(self, bias: Bias, *, aperture: float | None = None) -> Solution:
        """Return voltages and currents with one draw of every cell's read noise.

        Parameters
        ----------
        bias : Bias
        aperture : float, optional [s]
            How long the meter averages; None: as long as the profile's noise was given for.
        """
        if aperture is not None and not 0.0 < aperture < np.inf:
            raise ValueError(f"a meter averages over some time, not over {aperture} s")
        factors = np.empty(self._quiet.size)
        span = float(self._law["aperture"][0] or 1.0) if aperture is None else aperture
        read_factors(self._law, self._cells, self.now, span, factors)
        return self._present(bias, factors)

    @property
    def lines(self) -> Lines:
        """Get what the chip's lines are; for tests, never for instruments."""
        return self._lines

    def truth(self) -> dict[str, NDArray[np.generic]]:
        """Return what only the mock knows, [rows, cols]; for tests, never for instruments.

        ``stuck`` includes broken and worn-out cells (``kind``: 0 healthy, 1 open, 2 stuck on, 3 short, 4 stuck
        off); ``conductance`` [S] is that of the whole cell at 0.2 V, without what lies beside it on a leaky line;
        ``stress`` is breakdown stress over strength. What whole lines are is in :attr:`lines`.
        """
        cells = self._cells
        kind = cells["kind"]
        shape = (self.rows, self.cols)
        values: dict[str, NDArray[np.generic]] = {
            "stuck": kind != HEALTHY,
            "kind": kind.copy(),
            "formed": (cells["formed"] != 0) & (kind == HEALTHY),
            "conductance": self._conductance(float(self.profile.read.volts)),
            "state": cells["s"].copy(),
            "pulses": cells["pulses"].copy(),
            "wear_cycles": cells["wear"].copy(),
            "endurance_cycles": cells["endurance"].copy(),
            "stress": cells["damage"] / cells["strength"],
        }
        return {name: array.reshape(shape) for name, array in values.items()}

    def lay(self, lines: Lines) -> None:
        """Put other lines in place of those drawn, as on a chip whose lines are known."""
        self._lines = lines
        self._net.lead[:] = lines.lead
        self._net.leak[:] = lines.leak.ravel()
        self._net.bridge[:] = lines.bridge
        self._tied = None
        self._net.fresh[0] = 0

    def assume_formed(self, state: Floats | float, where: NDArray[np.bool_] | bool = True) -> None:
        """Declare healthy cells ``where`` formed at ``state`` (0: nominal off, 1: nominal on), as on a used chip."""
        cells = self._cells
        shape = (self.rows, self.cols)
        chosen = (cells["kind"] == HEALTHY) & np.broadcast_to(np.asarray(where, np.bool_), shape).ravel()
        cells["s"][chosen] = np.broadcast_to(np.asarray(state, np.float64), shape).ravel()[chosen]
        cells["g"] = cells["goff"] * np.exp(cells["ln_ratio"] * cells["s"])
        cells["formed"][chosen] = 1
        cells["t_move"][chosen] = cells["t_relax"][chosen] = self.now
        show_all(self._law, cells, self._net)

    def save(self, path: str | os.PathLike[str], *, settle: bool = True) -> None:
        """Write the chip's state to an ``.npz`` file, whole or not at all.

        Parameters
        ----------
        settle : bool
            Go on here as whoever takes up the file does, to the last digit; otherwise as if nothing had been written.
        """
        life = {**self._kind, "birth": self.birth, "seed": self.seed, "now": self.now}
        arrays: dict[str, Any] = {f"model.{name}": self._cells[name] for name in self._names()}
        # The solution and stale factors decide the last digits; whoever goes on here or there shall get the same.
        arrays |= {f"net.{name}": getattr(self._net, name) for name in _SOLUTION}
        arrays |= {f"lines.{name}": getattr(self._lines, name) for name in _LINES}
        if settle:
            self._net.fresh[0] = 0
        save_life(Path(path), life, arrays)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Take up the life saved in ``path``; the time the bench was off does not count.

        Raises
        ------
        ValueError
            When the file is damaged, or holds another chip.
        """
        life, arrays = load_life(Path(path), self._kind)
        wanted = {f"model.{name}": self._cells[name] for name in self._names()}
        wanted |= {f"net.{name}": getattr(self._net, name) for name in _SOLUTION}
        wanted |= {f"lines.{name}": getattr(self._lines, name) for name in _LINES}
        arrays = {**self._as_of_old(float(life["now"])), **arrays}
        missing = [name for name in wanted if name not in arrays]
        if missing:
            lacks = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
            raise ValueError(
                f"{path} holds a chip of an earlier version of this model, without {lacks}: go on with that version, "
                "or delete the file for a new chip"
            )
        for name, own in wanted.items():
            if arrays[name].shape != own.shape:
                raise ValueError(
                    f"{path} is damaged: {name} has shape {arrays[name].shape}, this chip needs {own.shape}"
                )
        for name in self._names():
            self._cells[name] = arrays[f"model.{name}"]
        for name in _SOLUTION:
            getattr(self._net, name)[:] = arrays[f"net.{name}"]
        self.lay(Lines(**{name: np.array(arrays[f"lines.{name}"]) for name in _LINES}))  # pyright: ignore[reportArgumentType]
        self.birth = life["birth"]
        self.seed = int(life["seed"])
        self._born_before = float(life["now"]) - self._clock.now
        show_all(self._law, self._cells, self._net)

    def _as_of_old(self, now: float) -> dict[str, Any]:
        """Return what a file of before these were kept means: good lines, nothing worn, noise as this chip drew it."""
        kept = {f"model.{name}": self._cells[name].copy() for name in _LATER}
        times = {f"model.{name}": np.full(len(self._cells), now) for name in ("t_move", "t_relax", "t_trap")}
        lines = draw_lines(None, self.rows, self.cols, 0)
        return {**kept, **times, **{f"lines.{name}": getattr(lines, name) for name in _LINES}}

    @property
    def _kind(self) -> dict[str, Any]:
        """What a file must say of the chip that takes it up."""
        return {"profile": self.profile.name, "rows": self.rows, "cols": self.cols}

    def _names(self) -> list[str]:
        return [name for name in self._cells.dtype.names if name not in ("pad", BUILD)]

    def _tie(self, bias: Bias) -> Drive:
        if not np.isfinite(bias.volts).all():
            raise ValueError(f"source voltages must be finite, not {bias.volts}")
        # Most calls change volts and limits alone: the same array of ties has been looked at.
        if bias.source is not self._tied or bias.volts.size != self._drive.volts.size:
            self._retie(bias)
        drive = self._drive
        drive.line_ohms[:] = bias.line_ohms
        drive.ohms[:] = bias.ohms
        drive.volts[:] = bias.volts
        drive.limit[:] = bias.limit
        drive.delay[:] = bias.delay
        if tie_lines(drive, self._net):
            self._net.fresh[0] = 0
        return drive

    def _retie(self, bias: Bias) -> None:
        lines, sources = self.rows + self.cols, bias.volts.size
        source = np.ascontiguousarray(bias.source, np.int64)
        if source.shape != (lines,) or bias.line_ohms.shape != (lines,):
            raise ValueError(f"a bias of this chip ties {lines} lines, not {source.size} ({bias.line_ohms.size} Ω)")
        if not bias.ohms.size == bias.limit.size == bias.delay.size == sources:
            raise ValueError(f"ohms, limit and delay of {sources} sources must each have {sources} entries")
        if lines and (int(source.max()) >= sources or int(source.min()) < -1):
            raise ValueError(f"line tied to source {source.max()}: there are {sources} sources, counted from 0")
        drive = self._drive
        if drive.volts.size != sources:
            drive = self._drive = make_drive(lines, sources, 2 * self.rows * self.cols)
            self._net.fresh[0] = 0
        if not np.array_equal(drive.source, source):
            # Sources of another circuit: what they were about to do is over.
            drive.engaged[:] = 0
            drive.late[:] = 0.0
            drive.source[:] = source
            self._net.fresh[0] = 0
        self._tied = bias.source

    def _present(self, bias: Bias, factors: Floats) -> Solution:
        drive = self._tie(bias)
        lines, sources = drive.source.size, drive.volts.size
        pads, amps = np.empty(lines), np.empty(lines)
        terminals, delivered = np.empty(sources), np.empty(sources)
        volts = np.empty((self.rows, self.cols))
        report(
            self._law, self._cells, self._net, drive, self.now, factors, _READ_VOLTS, pads, amps, terminals, delivered,
            volts,
        )  # fmt: skip
        return Solution(pads, amps, terminals, delivered, drive.limited != 0, volts)

    def _conductance(self, volts: float) -> Floats:
        cells = self._cells
        net = self._net
        x = np.full(cells.size, volts)
        for _ in range(30):
            sinh = net.amp * np.sinh(net.bend * x)
            x -= (x + cells["rs"] * sinh - volts) / (1.0 + cells["rs"] * net.amp * net.bend * np.cosh(net.bend * x))
        return net.amp * np.sinh(net.bend * x) / volts
