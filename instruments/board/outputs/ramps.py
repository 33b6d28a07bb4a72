"""Products whose currents are compared with ramps made of cells (board-protocol §10.10)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ....common.errors import RefusedError
from ....common.numbers import numbers
from ...array_spec import RampSpec
from ...capabilities import CellRamp, FloatArray
from ...chip.requests import checked_vectors, require_cells
from ...limits import refuse_bad_number
from ...wire.wire_text import sent
from ..mount import placed
from ..products import BoardProducts
from ..session import BoardSession

_LINEAR = 255


class BoardRamps:
    """Converts the currents of a product by comparing them with ramps."""

    def __init__(self, session: BoardSession) -> None:
        self._session = session
        self._products = BoardProducts(session)

    @property
    def _can(self) -> RampSpec:
        ramp = self._session.mount.spec.ramp
        assert ramp is not None, "the part is made where the board lists ramps"
        return ramp

    def convert(self, volts: ArrayLike, ramps: Sequence[CellRamp], which: ArrayLike) -> NDArray[np.int16]:
        """Return codes [batch, cols] for row voltages [batch, rows] [V]: thresholds at or below each current.

        One vector in gives one vector out. Columns that are not asked, −1 in ``which``, have −1.
        """
        session, mount = self._session, self._session.mount
        spec, can = mount.spec, self._can
        given = checked_vectors(spec, volts, reverse=False)
        if not 1 <= len(ramps) <= can.ramps:
            raise RefusedError(f"{len(ramps)} ramps at once: {spec.name} has 1 to {can.ramps}, use several calls")
        defined = [self._defined(ramp) for ramp in ramps]
        asked = self._asked(which, ramps)
        used = sorted(set(asked[asked >= 0].tolist()))
        of = np.where(asked >= 0, asked, _LINEAR).astype(np.uint8)
        board = of if mount.lines is None else placed(of, mount.lines.cols, mount.can.cols, _LINEAR)
        codes = self._products.encoded(given)
        slot = spec.vmm_slot_seconds + max(ramps[n].cells.nrows for n in used) * can.clock

        def look() -> NDArray[np.int16]:
            with session.acting():
                for number in used:
                    session.settings.set_ramp(number, defined[number])
                session.settings.assign_ramps(board.tobytes())
                session.settings.set_converters("RAMP")
                return self._products.converted(codes, slot)

        raw = session.repeated(look)
        if mount.lines is not None:
            raw = raw[:, mount.lines.cols]
        counted = np.where(asked >= 0, raw, -1).astype(np.int16)
        return counted[0] if given.ndim == 1 else counted

    def thresholds(self, ramp: CellRamp, *, average: int = 1) -> FloatArray:
        """Return a ramp's thresholds [cells + 1] [A] as the board measures them, ``average`` conversions per cell."""
        session, spec = self._session, self._session.mount.spec
        spec.check_average(average, channel="ramp")
        defined, steps = self._defined(ramp), ramp.cells.nrows

        def look() -> tuple[int, float, memoryview]:
            with session.acting():
                session.settings.configure({"SENS:AVER": int(average)})
                session.settings.set_ramp(0, defined)
                slots = steps * (int(average) + int(session.settings.automatic_range()))
                seconds = slots * spec.read_slot_seconds
                message = session.watchdog.announced(seconds) + "ADC:RAMP:LEV? 0"
                reply = session.exchange.ask_block(message.encode("ascii"), 4 * (steps + 1), expected=seconds)
                return slots, seconds, reply

        slots, seconds, reply = session.repeated(look)
        session.count(1, slots, 0, seconds)
        return np.frombuffer(reply, "<f4").astype(np.float64)

    def _defined(self, ramp: CellRamp) -> str:
        """Return how a ramp is defined on the wire; refuse what this board cannot do."""
        mount, can = self._session.mount, self._can
        spec, cells = mount.spec, ramp.cells
        require_cells(spec, cells)
        if cells.ncols != 1:
            raise RefusedError(f"a ramp is cells of one column, not {cells}")
        if cells.nrows > can.steps:
            raise RefusedError(f"a ramp of {cells.nrows} cells: {spec.name} takes 1 to {can.steps}; use fewer bits")
        most = spec.vmm_ranges[-1]
        refuse_bad_number("start", ramp.start, -most, most, "A", channel="ramp")
        refuse_bad_number("slope", ramp.slope, 1e-12, can.slope, "V", channel="ramp")
        board = mount.rectangle(cells)
        if board.shape != cells.shape:
            raise RefusedError(
                f"ramp {cells}: its cells are not beside each other on the board, and a ramp takes neighbours only; "
                "choose rows that the chip file's line map does not part"
            )
        start = f"{ramp.start:.9g}"
        return f"{board.col0},{board.row0},{board.nrows},{start},{sent(ramp.slope, most=can.slope)}"

    def _asked(self, which: ArrayLike, ramps: Sequence[CellRamp]) -> NDArray[np.int64]:
        spec = self._session.mount.spec
        asked = numbers(which, "which", channel="ramp")
        if asked.shape != (spec.cols,) or (asked != np.rint(asked)).any():
            raise RefusedError(f"which ramp a column has: {spec.cols} whole numbers are needed, -1 for none")
        if (asked < -1).any() or (asked >= len(ramps)).any() or (asked < 0).all():
            raise RefusedError(f"which ramp a column has: numbers are 0 to {len(ramps) - 1}, -1 for none, one at least")
        found = asked.astype(np.int64)
        of_cells = {ramps[n].cells.col0 for n in found[found >= 0].tolist()}
        own = [col for col in sorted(of_cells) if found[col] >= 0]
        if own:
            raise RefusedError(f"column {own[0]} holds cells of a ramp and takes no part in a product: ask others")
        return found
