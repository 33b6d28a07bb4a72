"""One period of what a 33622A puts on a line, as stairs.

A shape is piecewise linear, from −1 (low level) to +1 (high level). Behind the generator's 50 Ω the line's
capacitance makes a first-order low pass of it, which is solved exactly; every stair then has the mean voltage of its
time, so that the area under a pulse is right however few the stairs. Sine, noise and other curves have 32 stairs a
period, well below what they have on a real line: good for half-select and disturb, not for spectra.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

EDGE_SPAN: Final = 1.25
"""From 0 to 100 % against from 10 to 90 %, which the manual calls the edge time."""
_EDGE_STAIRS: Final = 4
_TAIL: Final = 4.0  # time constants after which an edge counts as over: 2 % are left
_CURVE_STAIRS: Final = 32
_SQUARE_EDGE: Final = 2.9e-9  # Keysight data sheet 5991-3272EN: fastest edge
_PRBS_BITS: Final = 32
_MOST_PIECES: Final = 4096


BUILT_IN: Final = "INT:\\BUILTIN\\EXP_RISE.ARB"
"""The one waveform that is always there."""


@dataclass(frozen=True, eq=False)
class ArbitraryWave:
    """A waveform somebody has loaded: its name, and its points from -1 to 1."""

    name: str
    points: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stairs:
    """One period: ``levels`` [K] between −1 and 1, each for ``seconds`` [K] [s]; before it, ``idle``."""

    seconds: NDArray[np.float64]
    levels: NDArray[np.float64]
    idle: float


@dataclass(frozen=True, slots=True)
class ShapeSettings:
    """What the shape of one period depends on; times in [s], ``phase`` in [°], shares in [%]."""

    function: str
    period: float
    width: float
    leading: float
    trailing: float
    symmetry: float
    duty: float
    phase: float
    seed: int
    wave: ArbitraryWave | None = None


def stairs(shape: ShapeSettings, time_constant: float) -> Stairs:
    """Return one period of ``shape`` behind a low pass of ``time_constant`` [s].

    Raises
    ------
    ValueError
        For a shape that has no period (DC).
    """
    if shape.function in ("PULS", "SQU"):
        width = shape.width if shape.function == "PULS" else shape.period * shape.duty / 100.0
        edges = (shape.leading, shape.trailing) if shape.function == "PULS" else (_SQUARE_EDGE, _SQUARE_EDGE)
        knots, values = _trapezoid(width, shape.period, *edges)
        grid = _edge_grid(knots, shape.period, time_constant)
        idle = -1.0
    elif shape.function in ("NOIS", "PRBS"):
        count = _PRBS_BITS
        rng = np.random.default_rng([shape.seed, len(shape.function)])
        held = np.sign(rng.standard_normal(count)) if shape.function == "PRBS" else rng.uniform(-1.0, 1.0, count)
        seconds = np.full(count, shape.period / count)
        return Stairs(seconds, _filtered_steps(held, shape.period / count, time_constant), 0.0)
    elif shape.wave is not None:
        held = _thinned(np.roll(shape.wave.points, -round(shape.phase / 360.0 * shape.wave.points.size)))
        seconds = np.full(held.size, shape.period / held.size)
        return Stairs(seconds, _filtered_steps(held, shape.period / held.size, time_constant), float(held[0]))
    else:
        grid = np.linspace(0.0, shape.period, _CURVE_STAIRS + 1)
        knots, values = grid, _curve(shape, grid / shape.period)
        idle = float(values[0])
    return Stairs(np.diff(grid), _filtered(knots, values, grid, time_constant), idle)


def _thinned(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return so few points that a chip can live through them; each is the mean of those in its place."""
    if points.size <= _MOST_PIECES:
        return points
    bounds = np.linspace(0, points.size, _MOST_PIECES + 1).astype(np.int64)
    return np.add.reduceat(points, bounds[:-1]) / np.diff(bounds)


def with_pause(
    seconds: NDArray[np.float64],
    volts: NDArray[np.float64],
    cycles: float,
    pause: float,
    idle: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return one burst and the rest until the next as one period.

    Parameters
    ----------
    seconds, volts : array, [K]
        One cycle [s], [V].
    cycles : float
        Of one burst; infinite: as many as fit.
    pause : float [s]
        From the beginning of one burst to that of the next.
    idle : float [V]
        Between bursts.

    Returns
    -------
    seconds, volts : array
        A burst of very many cycles has fewer, longer ones in their place.
    """
    length = float(seconds.sum())
    fitting = max(1.0, math.floor((pause + 1e-12) / length)) if math.isinf(cycles) else cycles
    shown = int(min(fitting, max(1, _MOST_PIECES // seconds.size)))
    stretched = np.tile(seconds * (fitting / shown), shown)
    rest = pause - float(stretched.sum())
    levels = np.tile(volts, shown)
    if rest <= 0.0:  # a timer that is too fast triggers again as soon as the burst is over
        return stretched, levels
    return np.append(stretched, rest), np.append(levels, idle)


def _curve(shape: ShapeSettings, phase: NDArray[np.float64]) -> NDArray[np.float64]:
    turn = np.mod(phase + shape.phase / 360.0, 1.0)
    if shape.function == "SIN":
        return np.sin(2.0 * np.pi * turn)
    if shape.function == "ARB":  # the exponential rise that is loaded at power-on
        return 2.0 * (1.0 - np.exp(-5.0 * turn)) / (1.0 - math.exp(-5.0)) - 1.0
    if shape.function in ("RAMP", "TRI"):
        rise = 0.5 if shape.function == "TRI" else min(max(shape.symmetry / 100.0, 1e-6), 1.0 - 1e-6)
        # 0° is where the ramp crosses its middle on the way up.
        turn = np.mod(turn + 0.5 * rise, 1.0)
        return np.where(turn < rise, 2.0 * turn / rise - 1.0, 1.0 - 2.0 * (turn - rise) / (1.0 - rise))
    raise ValueError(f"{shape.function} has no period")


def _trapezoid(
    width: float, period: float, leading: float, trailing: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return knots [s] and values of a pulse: ``width`` is taken at half height, the rise begins at 0."""
    rise, fall = EDGE_SPAN * leading, EDGE_SPAN * trailing
    fall_from = max(rise, width + 0.5 * (rise - fall))
    fall_to = min(period, fall_from + fall)
    return np.array([0.0, rise, fall_from, fall_to, period]), np.array([-1.0, 1.0, 1.0, -1.0, -1.0])


def _edge_grid(knots: NDArray[np.float64], period: float, time_constant: float) -> NDArray[np.float64]:
    tail = _TAIL * time_constant
    first = min(knots[1] + tail, knots[2])
    second = min(knots[3] + tail, period)
    rising = np.linspace(0.0, first, _EDGE_STAIRS + 1)
    falling = np.linspace(knots[2], second, _EDGE_STAIRS + 1)
    grid = np.concatenate((rising, falling, [period]))
    return grid[np.concatenate(([True], np.diff(grid) > 1e-9 * period))]


def _filtered(
    knots: NDArray[np.float64], values: NDArray[np.float64], grid: NDArray[np.float64], tau: float
) -> NDArray[np.float64]:
    """Return the mean of the filtered shape in every cell of ``grid``, in the steady state."""
    bounds = np.unique(np.concatenate((knots, grid)))
    inputs = np.interp(bounds, knots, values)
    cell = np.searchsorted(grid, 0.5 * (bounds[1:] + bounds[:-1]), side="right") - 1
    areas = np.zeros(grid.size - 1)
    level = float(inputs[0])
    for turn in range(2):  # the second round starts from where the first ended
        areas[:] = 0.0
        for at, length in enumerate(np.diff(bounds)):
            area, level = _through(level, float(inputs[at]), float(inputs[at + 1]), float(length), tau)
            areas[min(int(cell[at]), areas.size - 1)] += area
        del turn
    return areas / np.diff(grid)


def _filtered_steps(held: NDArray[np.float64], length: float, tau: float) -> NDArray[np.float64]:
    level, means = float(held[-1]), np.empty_like(held)
    for at, value in enumerate(held):
        area, level = _through(level, float(value), float(value), length, tau)
        means[at] = area / length
    return means


def _through(level: float, begin: float, end: float, length: float, tau: float) -> tuple[float, float]:
    """Return integral and end value of the low pass at ``level`` while its input goes from ``begin`` to ``end``."""
    if tau <= 0.0:
        return 0.5 * (begin + end) * length, end
    lag = (end - begin) / length * tau
    rest = level - begin + lag
    decay = math.exp(-length / tau)
    return 0.5 * (begin + end) * length - lag * length + rest * tau * (1.0 - decay), end - lag + rest * decay
