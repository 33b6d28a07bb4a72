"""Converters whose ramp has the shape of a function's inverse: thresholds, conductances, errors of the codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq
from scipy.special import expit

from ...common.arrays import FloatArray
from ...common.errors import RefusedError, alternatives
from ..plots.plots import INK, PALETTE, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TABLE = 4001  # points at which a function is looked at for its direction

KNOWN: dict[str, tuple[Callable[[FloatArray], FloatArray], tuple[float, float]]] = {
    "sigmoid": (expit, (-6.0, 6.0)),
    "tanh": (np.tanh, (-3.0, 3.0)),
    "softsign": (lambda x: x / (1.0 + np.abs(x)), (-4.0, 4.0)),
}
"""Functions by name, and the inputs that codes cover unless told otherwise."""


@dataclass(frozen=True)
class Activation:
    """A monotonic function between two inputs; beyond them the converter gives its first and its last code.

    Raises
    ------
    RefusedError
        Where it is not monotonic: a ramp only rises, so that every code stands for one interval of inputs.
    """

    name: str
    of: Callable[[FloatArray], FloatArray]
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise RefusedError(f"function {self.name!r}: inputs go from {self.low:g} to {self.high:g}, and must rise")
        x = np.linspace(self.low, self.high, _TABLE)
        y = self.of(x)
        if not np.isfinite(y).all():
            at = float(x[np.argmin(np.isfinite(y))])
            raise RefusedError(f"function {self.name!r} is not a finite number at {at:.4g}: choose other inputs")
        step = np.diff(y)
        small = 1e-12 * float(np.ptp(y))
        if not (step > small).any() and not (step < -small).any():
            raise RefusedError(f"function {self.name!r} is constant: there is nothing to tell apart by codes")
        if (step > small).any() and (step < -small).any():
            rises, falls = float(x[np.argmax(step > small)]), float(x[np.argmax(step < -small)])
            raise RefusedError(
                f"function {self.name!r} is not monotonic: it rises at {rises:.4g} and falls at {falls:.4g}. A ramp "
                "only rises, so every code must stand for one interval of inputs: choose inputs between which it goes "
                "one way"
            )

    @property
    def sign(self) -> float:
        """1 where it rises, −1 where it falls."""
        ends = self.of(np.array([self.low, self.high]))
        return 1.0 if ends[1] > ends[0] else -1.0


def activation(
    name: str, inputs: tuple[float, float] | None = None, points: Sequence[tuple[float, float]] = ()
) -> Activation:
    """Return a function by its name, or with the name ``points`` the smooth one through points of one's own.

    Parameters
    ----------
    inputs : what codes cover; the function's own by default, of points from the first to the last
    points : (input, output) of ``points``, two or more
    """
    if name != "points":
        if name not in KNOWN:
            raise RefusedError(f"unknown function {name!r}{alternatives(name, [*KNOWN, 'points'])}")
        if points:
            raise RefusedError(f"function {name!r} takes no points: name the function 'points', or leave them out")
        of, own = KNOWN[name]
        return Activation(name, of, *(inputs or own))
    given = np.asarray(sorted(points), dtype=np.float64).reshape(-1, 2)
    if len(given) < 2 or (np.diff(given[:, 0]) <= 0.0).any():
        raise RefusedError("function 'points' needs two or more points [input, output], each input once")
    low, high = inputs or (float(given[0, 0]), float(given[-1, 0]))
    if low < given[0, 0] or high > given[-1, 0]:
        raise RefusedError(f"function 'points': inputs {low:g} to {high:g} go beyond its points")
    # Between points it goes one way wherever they do.
    through = PchipInterpolator(given[:, 0], given[:, 1])
    return Activation("points", lambda x: through(np.clip(x, given[0, 0], given[-1, 0])), low, high)


@dataclass(frozen=True)
class RampDesign:
    """What a ramp of ``bits`` is to be for a function.

    Attributes
    ----------
    edges : [codes − 1] outputs at which the code changes
    thresholds : [codes − 1] inputs there, rising
    levels : [codes] output that a code stands for
    slopes : [codes] derivative of the function where it has that output
    """

    function: Activation
    bits: int
    edges: FloatArray
    thresholds: FloatArray
    levels: FloatArray
    slopes: FloatArray

    @property
    def lsb(self) -> float:
        """Output between two codes."""
        return float(abs(self.levels[1] - self.levels[0]))

    @property
    def steps(self) -> int:
        """Cells that the ramp takes."""
        return len(self.thresholds) - 1

    def conductances(self, low: float, high: float) -> FloatArray:
        """Return what the cells are programmed to [S]: proportional to the steps of the thresholds, ``high`` at most.

        Raises
        ------
        RefusedError
            Where the smallest is below ``low``: these cells cannot be told from others.
        """
        step = np.diff(self.thresholds)
        wanted = high * step / step.max()
        if wanted.min() < low * (1.0 - 1e-9):
            raise RefusedError(
                f"{self.bits} bits of {self.function.name!r} between {self.function.low:g} and {self.function.high:g} "
                f"need conductances from {wanted.min() * 1e6:.3g} to {high * 1e6:.3g} µS, and the lowest is "
                f"{low * 1e6:.3g} µS: fewer bits, or inputs nearer to each other"
            )
        return wanted

    def slope(self, high: float, amps: float) -> float:
        """Return the ramp's voltage per conductance [V] when an input of 1 is ``amps`` [A]."""
        return amps * float(np.diff(self.thresholds).max()) / high

    def codes(self, inputs: NDArray[np.floating]) -> NDArray[np.intp]:
        """Return what an ideal converter of these bits gives."""
        return np.searchsorted(self.thresholds, inputs, side="right")


def ramp_design(function: Activation, bits: int) -> RampDesign:
    """Return the thresholds f⁻¹(y) of outputs y that part its range in equal codes."""
    if not 1 <= bits <= 12:
        raise RefusedError(f"{bits} bits: choose 1 to 12")
    low, high = (float(y) for y in function.of(np.array([function.low, function.high])))
    codes = 2**bits
    edges = low + (high - low) * np.arange(1, codes) / codes
    levels = low + (high - low) * (np.arange(codes) + 0.5) / codes
    at = np.array([_inverse(function, float(y)) for y in levels])
    width = 1e-4 * (function.high - function.low)
    around = np.clip(np.stack([at - width, at + width]), function.low, function.high)
    slopes = np.diff(function.of(around), axis=0)[0] / np.diff(around, axis=0)[0]
    return RampDesign(function, bits, edges, np.array([_inverse(function, float(y)) for y in edges]), levels, slopes)


def _inverse(function: Activation, y: float) -> float:
    def off(x: float) -> float:
        return float(function.of(np.array([x]))[0]) - y

    root: Any = brentq(off, function.low, function.high, xtol=1e-12)
    return float(root)


@dataclass(frozen=True)
class CodeErrors:
    """How far the codes of ramps are off, in LSB of the output: ``inl`` [ramps, codes − 1], ``dnl`` one fewer.

    INL is where a code changes, less where it should; nothing is fitted or taken off. DNL is a code's width, less 1.
    """

    inl: FloatArray
    dnl: FloatArray

    @property
    def largest_inl(self) -> FloatArray:
        """Largest |INL| of every ramp."""
        return np.abs(self.inl).max(1)

    @property
    def largest_dnl(self) -> FloatArray:
        """Largest |DNL| of every ramp."""
        return np.abs(self.dnl).max(1)


def code_errors(design: RampDesign, thresholds: FloatArray) -> CodeErrors:
    """Return the errors of ramps whose thresholds [ramps, codes − 1], as inputs, were measured."""
    outputs = design.function.of(thresholds)
    inl = (outputs - design.edges) / (design.function.sign * design.lsb)
    dnl = np.diff(outputs, axis=1) / (design.function.sign * design.lsb) - 1.0
    return CodeErrors(inl, dnl)


def middle(design: RampDesign) -> int:
    """Return the threshold at which one point is calibrated: the middle code's."""
    return design.steps // 2


@styled
def ramp_figure(design: RampDesign, before: FloatArray, after: FloatArray) -> Figure:
    """Draw the staircase of a function and the errors of its codes.

    Parameters
    ----------
    before, after : [ramps, codes − 1] thresholds as inputs, before and after calibration
    """
    from matplotlib.ticker import MaxNLocator

    figure, axes = new_figure(12.0, 3.9, 3)
    function, codes = design.function, np.arange(2**design.bits)
    x = np.linspace(function.low, function.high, 400)
    faint = 0.3 if len(after) > 1 else 0.9
    for n, row in enumerate(after[:20]):
        edges = np.concatenate([[function.low], np.clip(row, function.low, function.high), [function.high]])
        axes[0].stairs(
            design.levels, np.maximum.accumulate(edges), baseline=None, color=PALETTE[0], alpha=faint, lw=0.8,
            label="programmed cells" if n == 0 else None,
        )  # fmt: skip
    axes[0].plot(x, function.of(x), color=INK, lw=1.2, ls="--", label=function.name)
    axes[0].set(xlabel="Input", ylabel="Output that the code stands for", title=f"{function.name}, {design.bits} bits")
    axes[0].legend(loc="best")
    for name, rows, colour in (("before calibration", before, PALETTE[1]), ("after calibration", after, PALETTE[0])):
        errors = code_errors(design, rows)
        for axis, values, at in ((axes[1], errors.inl, codes[1:]), (axes[2], errors.dnl, codes[1:-1])):
            low, mid, high = np.percentile(values, [5, 50, 95], axis=0)
            axis.fill_between(at, low, high, color=colour, alpha=0.25, lw=0)
            axis.plot(at, mid, color=colour, lw=1.4, label=name)
    for axis, what in ((axes[1], "INL"), (axes[2], "DNL")):
        axis.axhline(0.0, color=INK, lw=0.6)
        axis.set(
            xlabel="Code",
            ylabel=f"{what} (LSB), 5 % to 95 % and median",
            title=f"{what}, {len(after)} ramp{'s' * (len(after) > 1)}",
        )
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[1].legend(loc="best")
    return figure


@styled
def accuracy_figure(bits: Sequence[int], accuracy: Mapping[str, Sequence[float]], *, exact: float) -> Figure:
    """Draw test accuracies over the bits of ``ramp`` and ``ideal`` converters, and that of the function itself."""
    figure, ax = new_figure(6.4, 4.0)
    names = {"ramp": ("ramps of cells", PALETTE[0], "o"), "ideal": ("ideal converters", PALETTE[1], "s")}
    for what, (name, colour, marker) in names.items():
        ax.plot(bits, 100 * np.asarray(accuracy[what]), color=colour, marker=marker, label=name)
    ax.axhline(100 * exact, color=INK, ls="--", lw=1.0, label="the functions on the host")
    ax.set(title="The same weights, other converters", xlabel="Bits of the converters", ylabel="Test accuracy (%)")
    ax.set_xticks(list(bits))
    ax.legend(loc="best")
    return figure
