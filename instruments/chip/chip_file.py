"""The chip on the board: who it is, how it is wired, what it bears. Lock, wear and resume hang on its id."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from ...common.errors import RefusedError
from ...common.records import InUnit, read_format
from ...common.yaml_files import read_yaml, refuse_unknown_keys
from ..limits import Limits, limits_schema, read_limits
from .line_map import LineMap

FORMAT = 1

_RECORD = ConfigDict(extra="forbid", frozen=True)


class Lines(BaseModel):
    """Board lines of the chip's rows and columns, in the chip's order; absent means line n is row (column) n.

    ``gates`` are those of its gate lines, where the board has lines of their own for them.
    """

    model_config = _RECORD

    rows: tuple[int, ...] | None = None
    cols: tuple[int, ...] | None = None
    gates: tuple[int, ...] | None = None


class Chip(BaseModel):
    """A chip file.

    Attributes
    ----------
    gate_axis : "row" or "col", optional
        Which way the gate lines of a 1T1R chip run, where the board cannot say: one for each row, or each column.
    polarity : +1 or -1
        Sign of V(row) − V(column) that SETs; with −1 the driver flips signs, so that positive always SETs.
    limits : dict
        Names of :class:`Limits`; may only narrow.
    segment_ohms : float [Ω], optional
        Resistance of a line between neighbouring crosspoints, from a test structure or the layout.
    bad_cells : tuple of (row, col)
        Known to be bad; protocols leave them alone.
    devices : tuple of str
        Names of the cells, row by row, where a person finds them by name: single devices on their pads.
    bad_rows, bad_cols : tuple of int
        Lines of which every cell is bad.
    """

    model_config = _RECORD

    format: int = Field(default=FORMAT, ge=1, le=FORMAT)
    id: str = Field(min_length=1)
    material: str = ""
    rows: int = Field(gt=0)
    cols: int = Field(gt=0)
    cell: Literal["1T1R", "passive", "1R"]
    lines: Lines = Lines()
    gate_axis: Literal["row", "col"] | None = None
    polarity: Literal[1, -1] = 1
    limits: Annotated[dict[str, float], WithJsonSchema(limits_schema())] = {}
    segment_ohms: Annotated[float | None, InUnit("Ω")] = Field(default=None, ge=0.0, le=1e4, allow_inf_nan=False)
    devices: tuple[str, ...] = ()
    bad_cells: tuple[tuple[int, int], ...] = ()
    bad_rows: tuple[int, ...] = ()
    bad_cols: tuple[int, ...] = ()
    notes: str = ""
    _file: str = PrivateAttr("")

    @property
    def all_bad_cells(self) -> tuple[tuple[int, int], ...]:
        """Every cell known to be bad, those of bad lines among them."""
        rows = ((row, col) for row in self.bad_rows for col in range(self.cols))
        cols = ((row, col) for col in self.bad_cols for row in range(self.rows))
        return tuple(dict.fromkeys([*self.bad_cells, *rows, *cols]))

    @property
    def device_names(self) -> dict[tuple[int, int], str]:
        """What every cell is called: as the file says, the chip's id where there is one cell, else row and column."""
        cells = [(row, col) for row in range(self.rows) for col in range(self.cols)]
        names = self.devices or ((self.id,) if len(cells) == 1 else tuple(f"({row}, {col})" for row, col in cells))
        return dict(zip(cells, names, strict=True))

    @property
    def source(self) -> str:
        """Where its limits come from, for messages."""
        return f"{self._file}: limits" if self._file else f"chip {self.id}"

    def named(self, file: str) -> Chip:
        """Remember the file this was read from, for messages; return the chip."""
        self._file = file
        return self

    @field_validator("limits", mode="before")
    @classmethod
    def _read_limits(cls, limits: object) -> object:
        return read_limits(limits, source="chip") if isinstance(limits, dict) else limits  # pyright: ignore[reportUnknownArgumentType]

    @field_validator("limits")
    @classmethod
    def _limits_narrow(cls, limits: dict[str, float]) -> dict[str, float]:
        Limits.widest().narrowed(limits, source="chip")
        return limits

    @model_validator(mode="after")
    def _consistent(self) -> Chip:
        for row, col in self.all_bad_cells:
            if not (0 <= row < self.rows and 0 <= col < self.cols):
                raise ValueError(f"bad cell ({row}, {col}) is outside the chip's {self.rows} × {self.cols} cells")
        if self.devices and len(self.devices) != self.rows * self.cols:
            raise ValueError(
                f"devices names {len(self.devices)} of {self.rows} × {self.cols} cells: name each, row by row, or none"
            )
        if len(set(self.devices)) != len(self.devices) or not all(name.strip() for name in self.devices):
            raise ValueError("devices must have names that differ, none of them empty")
        if self.cell != "1T1R" and (self.gate_axis is not None or self.lines.gates is not None):
            raise ValueError(f"{self.cell} cells have no gates: take gate_axis and lines.gates out")
        along = "rows" if self.gate_axis == "row" else "cols"
        for axis, lines, size in (
            ("rows", self.lines.rows, self.rows), ("cols", self.lines.cols, self.cols),
            ("gates", self.lines.gates, getattr(self, along)),
        ):  # fmt: skip
            if lines is None:
                continue
            if len(lines) != size:
                mine = f"gates, one for each of the {along}" if axis == "gates" else axis
                raise ValueError(f"lines.{axis} names {len(lines)} board lines for {size} {mine}")
            if len(set(lines)) != size or min(lines) < 0:
                raise ValueError(f"lines.{axis} must name {size} different board lines, counted from 0")
        return self

    def line_map(self, board_rows: int, board_cols: int, *, board: str) -> LineMap:
        """Return which board line is which line of this chip; refuse a chip that does not fit the board."""
        if self.lines.gates is not None:
            raise RefusedError(
                f"chip {self.id} says on which lines its gates are, and {board} has them on its rows or columns by "
                "itself: take lines.gates out of the chip file"
            )
        straight = LineMap.straight((self.rows, self.cols), (board_rows, board_cols))
        rows = self.lines.rows or tuple(int(line) for line in straight.rows)
        cols = self.lines.cols or tuple(int(line) for line in straight.cols)
        for axis, lines, size in (("rows", rows, board_rows), ("cols", cols, board_cols)):
            if max(lines) >= size:
                raise RefusedError(
                    f"chip {self.id} is {self.rows} × {self.cols} and uses board line {max(lines)} of the {axis}; "
                    f"{board} is {board_rows} × {board_cols}: correct rows, cols or lines in the chip file"
                )
        import numpy as np

        return LineMap(np.array(rows), np.array(cols), (board_rows, board_cols))

    def require_cell(self, cell: str, *, board: str, gate_axis: str | None = None) -> None:
        """Refuse a chip whose cells are not what the board is made for, or whose gates run the other way."""
        mine = "passive" if self.cell == "1R" else self.cell
        if mine != cell:
            raise RefusedError(
                f"chip {self.id} has {mine} cells, {board} is made for {cell}: choose the chip file that fits"
            )
        if self.gate_axis not in {None, gate_axis}:
            raise RefusedError(
                f"chip {self.id} has its gates along its {self.gate_axis}s, {board} along the {gate_axis}s: correct "
                "gate_axis in the chip file, or take it out"
            )


def load_chip(path: Path | str) -> Chip:
    """Read a chip file; refuse unknown keys, nonsense and limits wider than the driver's."""
    path = Path(path)
    return parse_chip(read_yaml(path, "chip file"), source=str(path))


def parse_chip(record: dict[str, Any], *, source: str) -> Chip:
    """Return the chip in ``record``; ``source`` is for the message."""
    read_format(record, FORMAT, where=source, kind="chip file")
    refuse_unknown_keys(record, Chip.model_fields, where=source, kind="chip key")
    if isinstance(record.get("lines"), dict):
        refuse_unknown_keys(record["lines"], Lines.model_fields, where=f"{source}: lines", kind="key")
    if isinstance(record.get("limits"), dict):
        # Before pydantic, which would make numbers of "3" and true, and has words of its own.
        Limits.widest().narrowed(record["limits"], source=f"{source}: limits")
    try:
        chip = Chip.model_validate(record)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "chip"
        said = first["msg"].removeprefix("Value error, ")
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        shown = first["type"] != "missing" and first["loc"] and len(repr(first["input"])) < 80
        given = f", not {first['input']!r}" if shown else ""
        raise RefusedError(f"{source}: {place}: {said}{given}{more}") from error
    return chip.named(source)
