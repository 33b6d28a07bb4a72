"""Which selector switches which gate line of a 1T1R chip, and what its two supplies can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ....common.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...chip.chip_file import Chip

SELECTORS = 32
"""Digital lines that switch between the supplies SELL and SELH."""
GATE_MOST = 5.0
"""Most that gates are driven to [V]: the documentation of the library says nothing of what the supply bears."""


class Gates:
    """The gate lines of a 1T1R chip: each on a selector, off at SELL, which stays at 0 V, or on at SELH.

    All gates that are on share one voltage.

    Parameters
    ----------
    chip : Chip
        ``lines.gates`` of its file are selectors; left out, they are 0, 1, 2 … ``gate_axis`` says whether there is a
        gate line for each column, as where it is left out, or for each row.

    Raises
    ------
    RefusedError
        There is no selector of a number.
    """

    def __init__(self, name: str, chip: Chip) -> None:
        self.axis: Literal["row", "col"] = chip.gate_axis or "col"
        size = chip.rows if self.axis == "row" else chip.cols
        lines = chip.lines.gates or tuple(range(size))
        beyond = [line for line in lines if line >= SELECTORS]
        if beyond:
            raise RefusedError(
                f"chip {chip.id} on {name}: there is no selector {beyond[0]}: lines.gates are selectors 0 to "
                f"{SELECTORS - 1}"
            )
        self.lines = tuple(lines)

    def of(self, row: int, cols: Iterable[int]) -> tuple[int, ...]:
        """Return the selectors that open these cells of a row."""
        return (self.lines[row],) if self.axis == "row" else tuple(self.lines[col] for col in cols)
