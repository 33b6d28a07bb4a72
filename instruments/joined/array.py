"""Several boards as one ``CrossbarArray``: block-diagonal, because no wire leads from one board to another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...common.errors import RefusedError
from ..abilities import (
    Multiplies,
    MultipliesReversed,
    Samples,
    Sweeps,
    UpdatesByOuterProduct,
    VerifiesOnBoard,
)
from ..block import Block
from ..capabilities import Delivered, FloatArray, IVTrace, PulseMap, Reading, Trace, Verified, VerifyRequest
from ..limits import numbers
from .boards import Done, JoinedBoards

_EVERYWHERE = "on every one of the joined boards"


class JoinedArrays(JoinedBoards):
    """Boards one after the other on the diagonal of one array.

    Board k's rows come after those of board k − 1, its columns likewise (``spec.parts``). A row of one board and a
    column of another cross nowhere: there is no such cell. Reads of a block that spans boards have NaN there; pulsing
    one is refused. Every action is checked against the joint limits first, then split, and the boards act one after
    the other; those that have nothing to do are left alone.

    When a board fails after another has pulsed, the error is an ``UnconfirmedError`` that says in this array's rows
    and columns which cells may have had how many pulses.

    Parameters
    ----------
    arrays : at least two, open; joined arrays are taken apart into their boards
    name : of the whole; the boards' own names by default

    Raises
    ------
    RefusedError
        When they differ in what cannot be joined: see :func:`~.joined_spec.joined_spec`.
    """

    # -- reading -----------------------------------------------------------------------------------------------------

    def read(
        self,
        cells: Block,
        volts: float | None = None,
        *,
        average: int = 1,
        gate: float | None = None,
        scheme: str | None = None,
    ) -> Reading:
        """Measure a block at ``volts`` [V], one transaction per board it meets; NaN where there is no cell."""
        scheme = self._spec.require_scheme(scheme, writing=False)
        self._require_block(cells)
        amplitude = self._spec.read_volts if volts is None else volts
        self._spec.limits.one("read_volts", amplitude, channel="read")
        self._spec.check_average(average, channel="read")
        current, conductance, stderr = (np.full(cells.shape, np.nan) for _ in range(3))
        flags = np.zeros(cells.shape, dtype=np.uint8)
        for board, local, at in self._split(cells):
            reading = board.read(local, amplitude, average=average, gate=gate, scheme=scheme)
            current[at], conductance[at], stderr[at] = reading.current, reading.conductance, reading.stderr
            flags[at] = reading.flags
        return Reading(cells, float(amplitude), current, conductance, stderr, flags)

    def sample(self, row: int, col: int, volts: float, *, rate: float, seconds: float) -> Trace:
        """Measure one cell at ``rate`` [1/s] for ``seconds`` [s] at ``volts`` [V]."""
        self._spec.require(Samples, otherwise=_EVERYWHERE)
        board, part = self._home(row, col)
        self._spec.limits.one("read_volts", volts, channel=f"cell ({row}, {col})")
        trace = board.ability(Samples).sample(row - part.row0, col - part.col0, volts, rate=rate, seconds=seconds)
        return replace(trace, row=row, col=col)

    # -- pulsing -----------------------------------------------------------------------------------------------------

    def pulse(self, pulses: PulseMap) -> Delivered:
        """Apply a pulse map, board after board; boards without a pulse in it are left alone.

        Raises
        ------
        RefusedError
            Before anything is written: a value outside the joint limits, or a pulse for a cell that does not exist.
        """
        scheme = self._spec.require_scheme(pulses.scheme, writing=True)
        block = pulses.block
        self._require_block(block)
        volts, width, gate, count = self._checked(pulses)
        done = Done(block)
        for board, local, at in self._split(block):
            if count[at].any():
                share = PulseMap(local, volts[at], width[at], gate[at], count[at], scheme)
                with self._after(done, at, board):
                    done.add(at, board.pulse(share))
        return done.delivered()

    def _checked(self, pulses: PulseMap) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Return volts, width, gate and count of the block's shape, within the joint limits."""
        limits, block = self._spec.limits, pulses.block
        where = f"pulse map {block}, cell "
        try:
            volts, width, gate, count = (
                np.broadcast_to(numbers(getattr(pulses, name), name, channel=where), block.shape)
                for name in ("volts", "width", "gate", "count")
            )
        except RefusedError:
            raise
        except ValueError as error:
            raise RefusedError(f"a pulse map for a block of {block.nrows} × {block.ncols} cells: {error}") from error
        limits.check("count", count, channel=where, unit="pulses")
        active = count > 0
        lost = active & ~self._exists[block.slices]
        if lost.any():
            row, col = (int(n[0]) for n in np.nonzero(lost))
            raise RefusedError(f"no pulse can be given: {self._nowhere(block.row0 + row, block.col0 + col)}")
        # Other members of cells that are left alone are not looked at, here as on a board.
        volts, gate = np.where(active, volts, 0.0), np.where(active, gate, 0.0)
        width = np.where(active, width, limits.width_min)
        limits.check("pulse_volts", volts, channel=where)
        limits.check("width", width, channel=where, unit="s")
        limits.check_pulses(volts, width, channel=where)
        if self._spec.gate_axis is not None:
            limits.check("gate", gate, channel=where)
        return volts, width, gate, count

    def sweep(
        self,
        row: int,
        col: int,
        volts: ArrayLike,
        *,
        compliance: float,
        dwell: float,
        gate: ArrayLike | None = None,
        scheme: str | None = None,
    ) -> IVTrace:
        """Drive one cell through ``volts`` [V], ``dwell`` [s] each, current at or below ``compliance`` [A]."""
        spec = self._spec
        spec.require(Sweeps, otherwise=_EVERYWHERE)
        scheme = spec.require_scheme(scheme, writing=True)
        board, part = self._home(row, col)
        where = f"cell ({row}, {col}) point "
        points = spec.limits.check("pulse_volts", np.atleast_1d(np.asarray(volts)), channel=where)
        spec.check_sweep(points.size, compliance, dwell, channel=f"sweep of cell ({row}, {col})")
        spec.limits.check_points(points.ravel(), compliance, dwell, channel=where)
        with self._after(Done(Block(row, 1, col, 1)), (slice(0, 1), slice(0, 1)), board):
            trace = board.ability(Sweeps).sweep(
                row - part.row0, col - part.col0, volts, compliance=compliance, dwell=dwell, gate=gate, scheme=scheme
            )
        return replace(trace, row=row, col=col)

    # -- all lines at once -------------------------------------------------------------------------------------------

    def vmm(self, volts: ArrayLike, *, reverse: bool = False, full_scale: float | None = None) -> NDArray[np.float32]:
        """Return currents [batch, cols] [A] for row voltages [batch, rows] [V]; reverse: columns in, rows out.

        A board whose inputs are all 0 V is not driven, and its currents are 0 A. ``full_scale`` [A] is set on boards
        as they are driven; None keeps what was asked for last.
        """
        spec = self._spec
        spec.require(Multiplies, otherwise=_EVERYWHERE)
        if reverse:
            spec.require(MultipliesReversed, otherwise=_EVERYWHERE)
        given = volts if isinstance(volts, np.ndarray) else numbers(volts, "vmm_volts", channel="vmm input")
        if given.dtype != np.float32:
            given = numbers(given, "vmm_volts", channel="vmm input")
        vectors = given[np.newaxis] if given.ndim == 1 else given
        lines, outputs = (spec.cols, spec.rows) if reverse else (spec.rows, spec.cols)
        if vectors.ndim != 2 or vectors.shape[1] != lines or len(vectors) == 0:
            raise RefusedError(f"vmm needs [batch, {lines}] voltages, not shape {given.shape}")
        if not np.abs(vectors).max() <= spec.limits.vmm_volts_max:
            spec.limits.check("vmm_volts", vectors, channel="vmm input ")
        if full_scale is not None:
            self._full_scale = self._range_of(full_scale)
        current = np.zeros((len(vectors), outputs), dtype=np.float32)
        for board, part in zip(self.boards, spec.parts, strict=True):
            inputs, out = reversed(part.slices) if reverse else part.slices
            mine = vectors[:, inputs]
            if mine.any():
                if reverse:
                    current[:, out] = board.ability(MultipliesReversed).vmm_reversed(mine, full_scale=self._full_scale)
                else:
                    current[:, out] = board.ability(Multiplies).vmm(mine, full_scale=self._full_scale)
        return current[0] if given.ndim == 1 else current

    def vmm_reversed(self, volts: ArrayLike, *, full_scale: float | None = None) -> NDArray[np.float32]:
        """Return the currents [batch, rows] [A] of column voltages [batch, cols] [V]."""
        return self.vmm(volts, reverse=True, full_scale=full_scale)

    def _range_of(self, wanted: float) -> float:
        """Return the least range all boards have that holds ``wanted`` [A]."""
        ranges = sorted(self._spec.vmm_ranges)
        chosen = next((full for full in ranges if full >= wanted * (1.0 - 1e-9)), None)
        if not wanted > 0.0 or chosen is None:
            known = ", ".join(f"{full:g}" for full in ranges)
            raise RefusedError(
                f"vmm full_scale {wanted:g} A is not above 0 and within the ranges {known} A of {self.name}"
            )
        return chosen

    def outer_update(self, x: ArrayLike, d: ArrayLike, *, pulses: int) -> Delivered:
        """Pulse cells in proportion to xᵢ·dⱼ, −1 to 1 each ([rows], [cols]), by coincidences on each board.

        Where row and column are of different boards there is no cell, and nothing happens. A board whose part of x or
        d is 0 is left alone. The boards draw independently; each takes the drive from its own ``update_…`` parameters.
        """
        spec = self._spec
        spec.require(UpdatesByOuterProduct, otherwise=_EVERYWHERE)
        xs, ds = (numbers(values, name, channel="outer_update") for values, name in ((x, "x"), (d, "d")))
        for values, size, name in ((xs, spec.rows, "x"), (ds, spec.cols, "d")):
            if values.shape != (size,):
                raise RefusedError(f"{name} has shape {values.shape}, {self.name} needs ({size},)")
            if not (np.abs(values) <= 1.0).all():
                raise RefusedError(f"{name} holds {float(values[~(np.abs(values) <= 1.0)][0]):g}: values are −1 to 1")
        spec.limits.check("count", pulses, channel="outer_update", unit="pulses")
        done = Done(spec.whole)
        for board, part in zip(self.boards, spec.parts, strict=True):
            rows, cols = part.slices
            if xs[rows].any() and ds[cols].any():
                with self._after(done, part.slices, board):
                    done.add(
                        part.slices,
                        board.ability(UpdatesByOuterProduct).outer_update(xs[rows], ds[cols], pulses=pulses),
                    )
        return done.delivered()

    def program_verify(self, request: VerifyRequest) -> Verified:
        """Run the boards' own read-verify; boards without a target are left alone, and NaN comes back for them."""
        self._spec.require(VerifiesOnBoard, otherwise=_EVERYWHERE)
        block, target = request.block, np.asarray(request.target, dtype=np.float64)
        self._require_block(block)
        if target.shape != block.shape:
            raise RefusedError(f"targets have shape {target.shape}, the block {block.shape}")
        lost = ~np.isnan(target) & ~self._exists[block.slices]
        if lost.any():
            row, col = (int(n[0]) for n in np.nonzero(lost))
            raise RefusedError(f"no target can be reached: {self._nowhere(block.row0 + row, block.col0 + col)}")
        done = Done(block)
        conductance, finished = np.full(block.shape, np.nan), np.zeros(block.shape, dtype=np.bool_)
        for board, local, at in self._split(block):
            if not np.isnan(target[at]).all():
                with self._after(done, at, board):
                    said = board.ability(VerifiesOnBoard).program_verify(
                        replace(request, block=local, target=target[at])
                    )
                conductance[at], finished[at], done.count[at] = said.conductance, said.done, said.pulses
        return Verified(block, conductance, done.count, finished)
