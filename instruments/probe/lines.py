"""Which paths of a switch matrix tie a cell to the instruments of a probe station."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from ...common.errors import RefusedError, unknown

if TYPE_CHECKING:
    from ..chip.chip_file import Chip
    from ..drivers.roles import Path


@dataclass(frozen=True, slots=True)
class ProbeInputs:
    """Matrix input port of every source; ``ground`` is the bench's 0 V; ``digitiser`` where there is one."""

    row_smu: int = 1
    column_smu: int = 2
    pulser_row: int = 9
    pulser_column: int = 10
    ground: int = 12
    digitiser: int | None = None

    @classmethod
    def from_settings(
        cls, settings: Mapping[str, int] | None, *, where: str, most: int, shared: bool = False
    ) -> ProbeInputs:
        """Return the inputs a station file names; refuse unknown names, ports there are not, and one port for two.

        Parameters
        ----------
        most : int
            Inputs the matrix has.
        shared : bool
            The digitiser is behind the pulser's column output, and may have its input.
        """
        given = dict(settings or {})
        names = [field.name for field in fields(cls)]
        for name, port in given.items():
            if name not in names:
                raise RefusedError(f"{where}: {unknown('matrix input', name, names)}")
            if type(port) is not int or not 1 <= port <= most:
                raise RefusedError(f"{where}: {name} is {port!r}: a matrix input is a whole number of 1 to {most}")
        made = cls(**given)
        if shared and made.digitiser == made.pulser_column:
            names.remove("digitiser")
        ports = [port for port in (getattr(made, name) for name in names) if port is not None]
        if len(set(ports)) < len(ports):
            raise RefusedError(f"{where}: two sources share a matrix input: {made}; give each its own")
        return made


class ProbeLines:
    """The chip's lines on the matrix.

    Parameters
    ----------
    chip : Chip
        Its ``lines`` are matrix outputs, from 1; without them rows are outputs 1…R and columns R+1…R+C.
    ports : (inputs, outputs) of the matrix
    """

    def __init__(self, inputs: ProbeInputs, chip: Chip, ports: tuple[int, int]) -> None:
        last = ports[1]
        self.inputs = inputs
        self.rows = chip.lines.rows or tuple(range(1, chip.rows + 1))
        self.cols = chip.lines.cols or tuple(range(chip.rows + 1, chip.rows + chip.cols + 1))
        outputs = (*self.rows, *self.cols)
        if len(set(outputs)) < len(outputs) or not all(1 <= port <= last for port in outputs):
            raise RefusedError(
                f"chip {chip.id}: lines.rows and lines.cols name different matrix outputs, each 1 to {last}; "
                f"they are {self.rows} and {self.cols}"
            )

    def tie(self, row: int, col: int, *, row_input: int, column_input: int, others: int | None) -> frozenset[Path]:
        """Return the paths that tie a cell's two lines, and all ``others`` to one input or to nothing."""
        paths = {(row_input, self.rows[row]), (column_input, self.cols[col])}
        if others is not None:
            mine = {self.rows[row], self.cols[col]}
            paths |= {(others, port) for port in (*self.rows, *self.cols) if port not in mine}
        return frozenset(paths)

    def smus(self, row: int, col: int, *, grounded: bool) -> frozenset[Path]:
        """Return the paths that tie a cell to the two source-measure units."""
        inputs = self.inputs
        return self.tie(
            row,
            col,
            row_input=inputs.row_smu,
            column_input=inputs.column_smu,
            others=inputs.ground if grounded else None,
        )

    def row_sense(self, row: int, col: int) -> frozenset[Path]:
        """Return the paths of a read at the row: everything else grounded, the cell's column too."""
        inputs = self.inputs
        return self.tie(row, col, row_input=inputs.row_smu, column_input=inputs.ground, others=inputs.ground)

    def pulser(self, row: int, col: int, *, grounded: bool) -> frozenset[Path]:
        """Return the paths that tie a cell to the two channels of the pulse generator."""
        inputs = self.inputs
        return self.tie(
            row,
            col,
            row_input=inputs.pulser_row,
            column_input=inputs.pulser_column,
            others=inputs.ground if grounded else None,
        )

    def digitiser(self, row: int, col: int) -> frozenset[Path]:
        """Return the paths that tie a cell to the row's unit and the digitiser, all other lines grounded."""
        inputs = self.inputs
        if inputs.digitiser is None:
            raise AssertionError(inputs)
        return self.tie(row, col, row_input=inputs.row_smu, column_input=inputs.digitiser, others=inputs.ground)
