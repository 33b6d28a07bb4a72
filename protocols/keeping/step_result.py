"""What a short step returns: numbers with their definitions, and what was measured of which cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...instruments.block import Block

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from ...analysis.report.report import Section


@dataclass(frozen=True)
class CellData:
    """Quantities of a block, unit of work by unit: ``arrays`` are [len(values), rows, cols], ``units`` their units."""

    axis: str
    values: tuple[float, ...]
    block: Block
    units: Mapping[str, str]
    arrays: Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class StepResult:
    """Numbers by name; table, figure and section are made of what was measured.

    Attributes
    ----------
    numbers : mapping of str to float
        What ``metrics()`` returns.
    data : CellData, optional
        What was measured.
    definitions : mapping of str to str
        What the numbers mean.
    """

    numbers: Mapping[str, float]
    data: CellData | None = None
    title: str = "Step"
    text: str = ""
    definitions: Mapping[str, str] = field(default_factory=dict[str, str])

    def told(self, title: str, text: str, definitions: Mapping[str, str]) -> StepResult:
        """Return this result under the name of its step, with its text and the definitions of its numbers."""
        return replace(self, title=title, text=text, definitions=definitions)

    def metrics(self) -> dict[str, float]:
        """Return ``name: number``."""
        return dict(self.numbers)

    @property
    def frame(self) -> DataFrame:
        """One line per unit of work and cell; without cells one line per number."""
        from pandas import DataFrame

        data = self.data
        if data is None:
            return DataFrame({"metric": list(self.numbers), "value": list(self.numbers.values())})
        rows, cols = np.mgrid[0 : data.block.nrows, 0 : data.block.ncols].reshape(2, -1)
        count = len(data.values)
        return DataFrame(
            {
                data.axis: np.repeat(data.values, data.block.size),
                "row": np.tile(data.block.row0 + rows, count),
                "col": np.tile(data.block.col0 + cols, count),
                **{f"{name} [{data.units[name]}]": array.reshape(-1) for name, array in data.arrays.items()},
            }
        )

    def plot(self) -> Figure:
        """Return the median of every quantity over the units of work, with the band of the cells."""
        from ...analysis.plots.over_units import over_units
        from ...common.errors import RefusedError

        if self.data is None:
            raise RefusedError(f"{self.title} measured no cells: there is nothing to draw")
        data = self.data
        return over_units(data.values, data.arrays, data.units, axis=data.axis, title=self.title)

    def section(self) -> Section:
        """Return text, numbers and figure as a part of the report."""
        from pandas import DataFrame

        from ...analysis.quantities import describe, format_value
        from ...analysis.report.report import Section

        table = DataFrame(
            {
                "metric": list(self.numbers),
                "value": [format_value(value, describe(name).unit) for name, value in self.numbers.items()],
                "definition": [self._definition(name) for name in self.numbers],
            }
        )
        caption = "Median of the cells; the band holds 80 % of them."
        figures = [(caption, self.plot())] if self.data is not None else []
        return Section(self.title, self.text, figures, [("Results.", table)] if self.numbers else [])

    def _definition(self, name: str) -> str:
        from ...analysis.quantities import describe

        quantity = describe(name)
        told = self.definitions.get(quantity.name) or quantity.definition
        return told or "not defined: the step returned it without naming it in metrics"

    def __repr__(self) -> str:
        numbers = ", ".join(f"{name} = {value:.4g}" for name, value in self.numbers.items())
        return f"<{self.title}: {numbers or 'no numbers'}>"
