"""What joined boards can do besides reading and pulsing: what every one of them can."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..abilities import (
    Multiplies,
    MultipliesReversed,
    Parts,
    Samples,
    Saturates,
    Sweeps,
    UpdatesByOuterProduct,
    VerifiesOnBoard,
)
from ..capabilities import (
    Cost,
    Delivered,
    IVTrace,
    OuterProducts,
    PulseDrive,
    Trace,
    Verified,
    VerifyRequest,
)
from ..chip.requests import (
    checked_drive,
    checked_levels,
    checked_outer,
    checked_products,
    checked_sweep,
    checked_vectors,
    checked_verify,
    refuse_vectors,
    vmm_range,
)
from .boards import Boards, Done

_ALL = (slice(0, 1), slice(0, 1))


def joined_abilities(boards: Boards) -> Parts:
    """Return the parts of a joined array: of the kinds that all boards have, each with the boards' own behind it."""
    products = JoinedProducts(boards)
    made: dict[type, object] = {
        Sweeps: JoinedSweeps(boards),
        Samples: JoinedSamples(boards),
        Multiplies: products,
        MultipliesReversed: products,
        UpdatesByOuterProduct: JoinedUpdates(boards),
        VerifiesOnBoard: JoinedVerifies(boards),
        Saturates: JoinedSaturation(boards, products),
    }
    return Parts(boards.spec.name, {kind: part for kind, part in made.items() if boards.spec.can(kind)})


class JoinedSweeps:
    """Sweeps a cell on the board that has it."""

    def __init__(self, boards: Boards) -> None:
        self._boards = boards

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
        halt: float | None = None,
    ) -> IVTrace:
        """Drive one cell through ``volts`` [V], ``dwell`` [s] each, current at or below ``compliance`` [A]."""
        boards = self._boards
        number, there = boards.home(row, col)
        asked = checked_sweep(
            boards.spec, row, col, volts, compliance=compliance, dwell=dwell, gate=gate, scheme=scheme
        )
        board = boards.all[number]
        with boards.lock, boards.after(Done(asked.cell), _ALL, board):
            trace = board.ability(Sweeps).sweep(
                there.row0,
                there.col0,
                asked.volts,
                compliance=asked.compliance,
                dwell=asked.dwell,
                gate=gate,
                scheme=asked.scheme,
                **({} if halt is None else {"halt": halt}),
            )
        return replace(trace, row=asked.cell.row0, col=asked.cell.col0)


class JoinedSamples:
    """Looks at a cell on the board that has it."""

    def __init__(self, boards: Boards) -> None:
        self._boards = boards

    def sample(self, row: int, col: int, volts: float, *, rate: float, seconds: float) -> Trace:
        """Measure one cell at ``rate`` [1/s] for ``seconds`` [s] at ``volts`` [V]."""
        boards = self._boards
        number, there = boards.home(row, col)
        volts = boards.spec.limits.one("read_volts", volts, channel=f"cell ({row}, {col})")
        with boards.lock:
            part = boards.all[number].ability(Samples)
            trace = part.sample(there.row0, there.col0, volts, rate=rate, seconds=seconds)
        return replace(trace, row=int(row), col=int(col))


class JoinedProducts:
    """Multiplies with the block-diagonal matrix of all boards, in either direction."""

    def __init__(self, boards: Boards) -> None:
        self._boards = boards
        # Fetched once: a product takes 50 µs.
        forward, back = (boards.spec.can(kind) for kind in (Multiplies, MultipliesReversed))
        self._forward = tuple(board.ability(Multiplies).vmm for board in boards.all if forward)
        self._back = tuple(board.ability(MultipliesReversed).vmm_reversed for board in boards.all if back)
        self.full_scale: float | None = None

    def vmm(self, volts: ArrayLike, *, full_scale: float | None = None) -> NDArray[np.float32]:
        """Return currents [batch, cols] [A] for row voltages [batch, rows] [V].

        A board whose inputs are all 0 V is not driven, and its currents are 0 A. ``full_scale`` [A] is set on boards
        as they are driven; None keeps what was asked for last.
        """
        spec = self._boards.spec
        vectors, lone = self.checked(volts, full_scale, reverse=False)
        current = np.zeros((len(vectors), spec.cols), dtype=np.float32)
        with self._boards.lock:
            for multiply, part in zip(self._forward, spec.parts, strict=True):
                rows, cols = part.slices
                mine = vectors[:, rows]
                if mine.any():
                    current[:, cols] = multiply(mine, full_scale=self.full_scale)
        return current[0] if lone else current

    def vmm_reversed(self, volts: ArrayLike, *, full_scale: float | None = None) -> NDArray[np.float32]:
        """Return currents [batch, rows] [A] for column voltages [batch, cols] [V]; else as :meth:`vmm`."""
        spec = self._boards.spec
        vectors, lone = self.checked(volts, full_scale, reverse=True)
        current = np.zeros((len(vectors), spec.rows), dtype=np.float32)
        with self._boards.lock:
            for multiply, part in zip(self._back, spec.parts, strict=True):
                rows, cols = part.slices
                mine = vectors[:, cols]
                if mine.any():
                    current[:, rows] = multiply(mine, full_scale=self.full_scale)
        return current[0] if lone else current

    def checked(
        self, volts: ArrayLike, full_scale: float | None, *, reverse: bool
    ) -> tuple[NDArray[np.floating], bool]:
        """Return the vectors [batch, lines] and whether one alone was given."""
        spec = self._boards.spec
        given = checked_vectors(spec, volts, reverse=reverse)
        vectors = given[np.newaxis] if given.ndim == 1 else given
        if not np.abs(vectors).max() <= spec.limits.vmm_volts_max:
            refuse_vectors(spec, vectors)
        if full_scale is not None:
            self.full_scale = vmm_range(spec, full_scale)
        return vectors, given.ndim == 1


class JoinedSaturation:
    """Multiplies with all boards, each column held between its levels by the board that has it."""

    def __init__(self, boards: Boards, products: JoinedProducts) -> None:
        self._boards, self._products = boards, products

    def vmm_saturated(
        self, volts: ArrayLike, *, low: ArrayLike, high: ArrayLike, full_scale: float | None = None
    ) -> NDArray[np.float32]:
        """Return currents [batch, cols] [A] for row voltages [batch, rows] [V], held between ``low`` and ``high`` [A].

        Every board is driven: a circuit's offset is there without an input, too.
        """
        spec = self._boards.spec
        levels = checked_levels(spec, low, high)
        vectors, lone = self._products.checked(volts, full_scale, reverse=False)
        current = np.zeros((len(vectors), spec.cols), dtype=np.float32)
        with self._boards.lock:
            for board, part in zip(self._boards.all, spec.parts, strict=True):
                rows, cols = part.slices
                current[:, cols] = board.ability(Saturates).vmm_saturated(
                    vectors[:, rows], low=levels[0, cols], high=levels[1, cols], full_scale=self._products.full_scale
                )
        return current[0] if lone else current


class JoinedUpdates:
    """Outer-product updates, each board's share on the board."""

    def __init__(self, boards: Boards) -> None:
        self._boards = boards

    def outer_update(self, x: ArrayLike, d: ArrayLike, *, pulses: int, drive: PulseDrive | None = None) -> Delivered:
        """Pulse cells in proportion to xᵢ·dⱼ, −1 to 1 each ([rows], [cols]), by coincidences on each board.

        Where row and column are of different boards there is no cell, and nothing happens. A board whose part of x or
        d is 0 is left alone. The boards draw independently; without ``drive`` each has its own parameters.
        """
        boards = self._boards
        xs, ds, turns = checked_outer(boards.spec, x, d, pulses)
        drive = None if drive is None else checked_drive(boards.spec, drive)
        done = Done(boards.spec.whole)
        with boards.lock:
            for board, _, at in boards.split(boards.spec.whole):
                rows, cols = at
                if xs[rows].any() and ds[cols].any():
                    with boards.after(done, at, board):
                        part = board.ability(UpdatesByOuterProduct)
                        done.add(at, part.outer_update(xs[rows], ds[cols], pulses=turns, drive=drive))
        return done.delivered()

    def outer_updates(self, products: Sequence[OuterProducts], *, pulses: int, drive: PulseDrive | None = None) -> Cost:
        """Give every board what of the rectangles is on it, board after board."""
        boards = self._boards
        asked, spent = checked_products(boards.spec, products, pulses), Cost()
        drive = None if drive is None else checked_drive(boards.spec, drive)
        done = Done(boards.spec.whole)
        with boards.lock:
            for board, part in zip(boards.all, boards.spec.parts, strict=True):
                shares = [share for one in asked if (share := one.share(part)) is not None]
                if not shares:
                    continue
                mine = [replace(one, block=one.block.moved(-part.row0, -part.col0)) for one in shares]
                with boards.after(done, part.slices, board):
                    spent += board.ability(UpdatesByOuterProduct).outer_updates(mine, pulses=pulses, drive=drive)
                for one in shares:
                    expected = pulses * (np.abs(one.x).T @ np.abs(one.d))
                    done.count[one.block.slices] += np.rint(expected).astype(np.int64)
        return spent


class JoinedVerifies:
    """Runs the boards' own read-verify."""

    def __init__(self, boards: Boards) -> None:
        self._boards = boards

    def program_verify(self, request: VerifyRequest) -> Verified:
        """Let every board that has a target run; NaN comes back for the cells of the others."""
        boards, block = self._boards, request.block
        boards.require(block)
        request = checked_verify(boards.spec, request)
        target = request.target
        boards.require_each(block, ~np.isnan(target), "no target can be reached")
        done = Done(block)
        conductance, finished = np.full(block.shape, np.nan), np.zeros(block.shape, dtype=np.bool_)
        with boards.lock:
            for board, local, at in boards.split(block):
                if not np.isnan(target[at]).all():
                    mine = replace(request, block=local, target=target[at])
                    with boards.after(done, at, board):
                        said = board.ability(VerifiesOnBoard).program_verify(mine)
                    conductance[at], finished[at], done.count[at] = said.conductance, said.done, said.pulses
        return Verified(block=block, conductance=conductance, pulses=done.count, done=finished)
