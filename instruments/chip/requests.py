"""What is asked of a chip's cells, checked in one place before anything is sent: the same for every kind of array.

Boards, probe stations and joined boards check here; what only one of them can tell stays with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...common.errors import RefusedError
from ...common.numbers import numbers, scalar
from ..array_spec import ArraySpec
from ..block import Block
from ..capabilities import FloatArray, OuterProducts, PulseDrive, PulseMap, VerifyRequest
from ..limits import Limits, refuse_bad_number


@dataclass(frozen=True, slots=True)
class Pulses:
    """A pulse map that may be given; all of the block's shape, 0 V where ``count`` is 0.

    ``volts`` [V], ``width`` [s], ``gate`` [V], ``count``, ``scheme``.
    """

    block: Block
    volts: FloatArray
    width: FloatArray
    gate: FloatArray
    count: NDArray[np.int64]
    scheme: str

    def part(self, local: Block, at: tuple[slice, slice]) -> PulseMap:
        """Return the pulses ``at`` a place in the block as a map for ``local``, the same cells of another array."""
        return PulseMap(
            block=local,
            volts=self.volts[at],
            width=self.width[at],
            gate=self.gate[at],
            count=self.count[at],
            scheme=self.scheme,
        )


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep that may be driven: ``cell``, ``volts`` and ``gate`` [points] [V], ``compliance`` [A], ``dwell`` [s]."""

    cell: Block
    volts: FloatArray
    gate: FloatArray
    compliance: float
    dwell: float
    scheme: str


@dataclass(frozen=True, slots=True)
class Look:
    """A read that may be done: ``volts`` [V], ``average``, ``gate`` [V] (None where there are none), ``scheme``."""

    volts: float
    average: int
    gate: float | None
    scheme: str


def require_cells(spec: ArraySpec, block: Block) -> None:
    """Refuse cells outside the array."""
    rows, cols = spec.rows, spec.cols
    if block.row0 + block.nrows > rows or block.col0 + block.ncols > cols:
        raise RefusedError(f"cells {block} are outside {spec.name}, which has rows 0:{rows} and columns 0:{cols}")


def one_cell(spec: ArraySpec, row: int, col: int) -> Block:
    """Return a cell as a block; refuse one outside the array."""
    cell = Block(row, 1, col, 1)
    require_cells(spec, cell)
    return cell


def checked_read(
    spec: ArraySpec, cells: Block, volts: float | None, *, average: int, gate: float | None, scheme: str | None
) -> Look:
    """Return what a read is done with, the array's own where None was given."""
    scheme = spec.require_scheme(scheme, writing=False)
    require_cells(spec, cells)
    amplitude = spec.limits.one("read_volts", spec.read_volts if volts is None else volts, channel="read")
    if amplitude == 0.0:
        raise RefusedError("read at 0 V gives no conductance: choose an amplitude other than 0 V")
    spec.check_average(average, channel="read")
    if spec.gate_axis is None:
        refuse_gates(spec, gate)
        given = None
    else:
        given = spec.limits.one("gate", spec.read_gate if gate is None else gate, channel="read gate")
    return Look(volts=amplitude, average=int(average), gate=given, scheme=scheme)


def checked_pulses(spec: ArraySpec, pulses: PulseMap) -> Pulses:
    """Return a pulse map of the block's shape, within the limits; other members of cells left alone are not looked at.

    Raises
    ------
    RefusedError
        When a value of a cell with a count above 0 is outside the limits, or a value is no number.
    """
    scheme = spec.require_scheme(pulses.scheme, writing=True)
    block, limits = pulses.block, spec.limits
    require_cells(spec, block)
    shape, where = block.shape, f"pulse map {block}, cell "
    given = [numbers(getattr(pulses, name), name, channel=where) for name in ("volts", "width", "gate", "count")]
    try:
        volts, width, gate, count = (np.broadcast_to(values, shape) for values in given)
    except ValueError as error:
        raise RefusedError(f"a pulse map for a block of {shape[0]} × {shape[1]} cells: {error}") from error
    limits.check("count", count, channel=where, unit="pulses")
    counts = count.astype(np.int64)
    if (counts != count).any():
        raise RefusedError(f"count {float(count[counts != count].flat[0]):g} is not a whole number of pulses")
    active = counts > 0
    if not active.all():
        volts, gate = np.where(active, volts, 0.0), np.where(active, gate, 0.0)
        width = np.where(active, width, limits.width_min)
    limits.check("pulse_volts", volts, channel=where)
    if active.any():
        spec.check_width(float(width[active].min()), channel=f"pulse map {block}")
    limits.check("width", width, channel=where, unit="s")
    check_drive(spec, volts, width, channel=where)
    if spec.gate_axis is None:
        refuse_gates(spec, gate)
    else:
        limits.check("gate", gate, channel=where)
    return Pulses(block=block, volts=volts, width=width, gate=gate, count=counts, scheme=scheme)


def checked_staircase(
    spec: ArraySpec, row: int, col: int, start: float, stop: float, points: int, width: float
) -> tuple[Block, FloatArray, float]:
    """Return the cell, the voltages [points] V and the width [s] of a staircase of pulses within the limits."""
    cell = one_cell(spec, row, col)
    where = f"staircase of cell ({cell.row0}, {cell.col0})"
    if isinstance(points, bool) or not (isinstance(points, int | np.integer) and points >= 1):
        raise RefusedError(f"{where}: points {points!r} is not a whole number of at least 1")
    if points == 1 and start != stop:
        raise RefusedError(f"{where}: from {start:g} to {stop:g} V takes more than 1 point: choose at least 2")
    spec.limits.check("count", int(points), channel=where, unit="pulses")
    # Between the two ends nothing is larger.
    for end in (start, stop):
        asked = checked_pulses(spec, PulseMap(cell, end, width))
    return cell, np.linspace(start, stop, int(points)), float(asked.width.item())


def check_drive(spec: ArraySpec, volts: ArrayLike, width: ArrayLike, *, channel: str) -> None:
    """Refuse pulses whose energy or slew is above the limits, and a slew limit where the edges are not known."""
    limits = spec.limits
    if spec.edge is None and limits.slew_max < Limits().slew_max:
        raise RefusedError(
            f"slew_max {limits.slew_max:g} V/s cannot be kept by {spec.name}: its capability record does not "
            f"say how long the edges of its pulses are (width.edge); {limits.whose('slew_max')}"
        )
    limits.check_pulses(volts, width, channel=channel, edge=spec.edge)


def refuse_gates(spec: ArraySpec, gate: ArrayLike | None) -> None:
    """Refuse a gate voltage other than 0 V of an array without gates."""
    if gate is not None and np.any(numbers(gate, "gate", channel=spec.name) != 0.0):
        raise RefusedError(f"{spec.name} has no gates: leave gate at 0 V, or out")


def checked_sweep(
    spec: ArraySpec,
    row: int,
    col: int,
    volts: ArrayLike,
    *,
    compliance: float,
    dwell: float,
    gate: ArrayLike | None,
    scheme: str | None,
) -> Sweep:
    """Return the sweep of one cell with a gate voltage for every point, the array's own where None was given."""
    limits = spec.limits
    scheme = spec.require_scheme(scheme, writing=True)
    cell = one_cell(spec, row, col)
    where = f"cell ({cell.row0}, {cell.col0}) point "
    points = np.atleast_1d(numbers(volts, "volts", channel=where))
    if points.ndim != 1:
        raise RefusedError(f"a sweep has its points in one row, not in shape {points.shape}")
    limits.check("pulse_volts", points, channel=where)
    spec.check_sweep(points.size, compliance, dwell, channel=f"sweep of cell ({cell.row0}, {cell.col0})")
    limits.check_points(points, compliance, dwell, channel=where)
    if spec.gate_axis is None:
        refuse_gates(spec, gate)
        gates = np.zeros(())
    else:
        gates = numbers(spec.read_gate if gate is None else gate, "gate", channel=where)
        if gates.shape not in {(), points.shape}:
            raise RefusedError(f"gate has shape {gates.shape}: give one value or one per point, {points.shape}")
        limits.check("gate", gates, channel=where)
    return Sweep(
        cell=cell,
        volts=points,
        gate=np.broadcast_to(gates, points.shape),
        compliance=float(compliance),
        dwell=float(dwell),
        scheme=scheme,
    )


def checked_vectors(spec: ArraySpec, volts: ArrayLike, *, reverse: bool) -> NDArray[np.floating]:
    """Return the vectors of a product, [batch, lines] V, or [lines] as given; float32 is kept, the limit not looked at.

    What puts them into codes looks at every value anyway, and refuses by :func:`refuse_vectors`.
    """
    if type(volts) is np.ndarray and volts.dtype == np.float32:
        given: NDArray[np.floating] = volts
    else:
        given = numbers(volts, "vmm_volts", channel="vmm input")
    lines = spec.cols if reverse else spec.rows
    if given.ndim not in {1, 2} or given.shape[-1] != lines or len(given) == 0:
        raise RefusedError(f"vmm needs [batch, {lines}] voltages, not shape {given.shape}")
    return given


def refuse_vectors(spec: ArraySpec, vectors: NDArray[np.floating]) -> None:
    """Refuse vectors [batch, lines] V that hold what is beyond the limit, or no number."""
    spec.limits.check("vmm_volts", vectors, channel="vmm input ")


def checked_levels(spec: ArraySpec, low: ArrayLike, high: ArrayLike) -> NDArray[np.float32]:
    """Return the levels [2, cols] A that the columns of a product are held between."""
    levels = np.empty((2, spec.cols), dtype=np.float32)
    for at, (values, name) in enumerate(((low, "low"), (high, "high"))):
        given = numbers(values, name, channel="vmm_saturated")
        if given.shape not in {(), (spec.cols,)}:
            raise RefusedError(f"{name} has shape {given.shape}: give one level, or {spec.cols}, one for each column")
        levels[at] = given
    bad = np.flatnonzero(~(levels[0] < levels[1]))
    if bad.size:
        at = int(bad[0])
        raise RefusedError(
            f"column {at} would be held between {levels[0, at]:g} A and {levels[1, at]:g} A: low must be below high"
        )
    return levels


def vmm_range(spec: ArraySpec, wanted: float) -> float:
    """Return the least range of the product's converters that holds ``wanted`` [A]."""
    wanted = scalar(wanted, "full_scale", channel=f"vmm of {spec.name}")
    chosen = next((full for full in sorted(spec.vmm_ranges) if full >= wanted * (1.0 - 1e-9)), None)
    if not wanted > 0.0 or chosen is None:
        known = ", ".join(f"{full:g}" for full in sorted(spec.vmm_ranges))
        raise RefusedError(f"vmm full_scale {wanted:g} A is not above 0 and within the ranges {known} A of {spec.name}")
    return chosen


def checked_outer(spec: ArraySpec, x: ArrayLike, d: ArrayLike, pulses: int) -> tuple[FloatArray, FloatArray, int]:
    """Return x [rows], d [cols] and the number of turns of an outer-product update."""
    given: list[FloatArray] = []
    for values, size, name in ((x, spec.rows, "x"), (d, spec.cols, "d")):
        array = numbers(values, name, channel="outer_update")
        if array.shape != (size,):
            raise RefusedError(f"{name} has shape {array.shape}, {spec.name} needs ({size},)")
        if not (np.abs(array) <= 1.0).all():
            raise RefusedError(f"{name} holds {float(array[~(np.abs(array) <= 1.0)][0]):g}: values are −1 to 1")
        given.append(array)
    require_turns(spec, pulses)
    return given[0], given[1], int(pulses)


def checked_products(spec: ArraySpec, products: Sequence[OuterProducts], pulses: int) -> list[OuterProducts]:
    """Return outer products with plain numbers, rectangles without any left out; look at the turns too."""
    checked: list[OuterProducts] = []
    for one in products:
        require_cells(spec, one.block)
        x, d = (numbers(values, name, channel="outer_updates") for values, name in ((one.x, "x"), (one.d, "d")))
        if x.shape != (*d.shape[:1], one.block.nrows) or d.shape != (*x.shape[:1], one.block.ncols):
            raise RefusedError(
                f"outer products of cells {one.block}: x has shape {x.shape}, d {d.shape}; needed are [products, "
                f"{one.block.nrows}] and [products, {one.block.ncols}]"
            )
        for values, name in ((x, "x"), (d, "d")):
            if not (np.abs(values) <= 1.0).all():
                raise RefusedError(f"{name} holds {float(values[~(np.abs(values) <= 1.0)][0]):g}: values are −1 to 1")
        if len(x):
            checked.append(OuterProducts(one.block, x, d))
    require_turns(spec, pulses)
    return checked


def require_turns(spec: ArraySpec, pulses: int) -> None:
    """Refuse what is no number of turns of an outer-product update."""
    if isinstance(pulses, bool) or not (isinstance(pulses, int | np.integer) and pulses >= 1):
        raise RefusedError(f"pulses {pulses!r} is not a whole number of at least 1")
    spec.limits.check("count", int(pulses), channel="outer_update", unit="pulses")


def checked_drive(spec: ArraySpec, drive: PulseDrive) -> PulseDrive:
    """Return the pulses of an outer-product update with plain numbers, within the limits."""
    given = PulseDrive(*(scalar(value, what, channel="outer_update") for what, value in asdict(drive).items()))
    limits = spec.limits
    limits.check("width", given.width, channel="update_width", unit="s")
    if min(given.set_volts, given.reset_volts) < 0.0:
        raise RefusedError("update_set_volts and update_reset_volts are magnitudes: give positive numbers")
    both = [given.set_volts, -given.reset_volts]
    limits.check("pulse_volts", both, channel="update_set_volts, update_reset_volts ")
    limits.check("gate", [given.set_gate, given.reset_gate], channel="update_set_gate, update_reset_gate ")
    check_drive(spec, both, given.width, channel="update_set_volts, update_reset_volts ")
    return given


def checked_verify(spec: ArraySpec, request: VerifyRequest) -> VerifyRequest:
    """Return an on-board read-verify with plain numbers, within the limits."""
    limits, block = spec.limits, request.block
    require_cells(spec, block)
    where = f"read-verify {block} "
    target = numbers(request.target, "target", channel=where)
    if target.shape != block.shape:
        raise RefusedError(f"targets have shape {target.shape}, the block {block.shape}")
    if (target <= 0.0).any() or np.isinf(target).any():
        raise RefusedError("a target conductance is not above 0 S and finite: use NaN for cells to leave alone")

    def plain(value: float) -> float:
        return scalar(value, "a number of the staircase", channel=where)

    tolerance, most = plain(request.tolerance), plain(request.pulses_max)
    width, up = plain(request.width), plain(request.set_volts)
    start, stop, step = map(plain, request.set_gate)
    down, lowest, down_step = map(plain, request.reset_volts)
    reset_gate = plain(request.reset_gate)
    refuse_bad_number("tolerance", tolerance, 1e-12, 1.0, "S", channel=where)
    refuse_bad_number("pulses_max", most, 1, limits.count_max, "pulses", channel=where)
    if most != int(most):
        raise RefusedError(f"pulses_max {most:g} is not a whole number of pulses")
    for name, value in (("set gate step", step), ("reset step", down_step)):
        refuse_bad_number(name, value, 0.0, 10.0, "V", channel=where)
    limits.check("width", width, channel=where, unit="s")
    limits.check("gate", [start, stop, reset_gate], channel=where + "gates ")
    limits.check("pulse_volts", [up, -down, -lowest], channel=where + "volts ")
    if min(up, down, lowest) < 0.0:
        raise RefusedError("amplitudes of a read-verify are positive numbers; resets are given as magnitudes")
    check_drive(spec, [up, -down, -lowest], width, channel=where + "volts ")
    return replace(
        request,
        target=target,
        tolerance=tolerance,
        pulses_max=int(most),
        width=width,
        set_volts=up,
        set_gate=(start, stop, step),
        reset_volts=(down, lowest, down_step),
        reset_gate=reset_gate,
    )
