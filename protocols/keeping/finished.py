"""What a step leaves behind when it is done, so that no later session asks the chip for it again: figures and findings.

``state/<step>.done.npz`` holds what is known of the chip then, ``state/<step>.section.json`` the step's part of the
report, pictures and tables as they were, ``state/<step>.frame.npz`` its table. The numbers stand in the journal.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ...analysis.plots.plots import Picture
from ...analysis.report.report import Section
from ...common.errors import RefusedError
from ...common.files import ARRAYS_MAX, read_arrays, read_bytes, read_json, unpack_arrays
from .checkpoint import NamedArrays, digest, packed
from .storage import StorageError, json_text, replace_file

if TYPE_CHECKING:
    from pandas import DataFrame


class FinishedStep:
    """The files of one step that is done.

    Parameters
    ----------
    folder : the run's ``state`` folder
    step : id of the step, which names the files
    """

    def __init__(self, folder: Path, step: str) -> None:
        self.step = step
        self._known = folder / f"{step}.done.npz"
        self._section = folder / f"{step}.section.json"
        self._frame = folder / f"{step}.frame.npz"

    def save(self, known: NamedArrays, section: Section | None, frame: DataFrame | None) -> str:
        """Keep what is known of the chip, the step's part of the report with its figures drawn, and its table.

        Return the digest of what is known.
        """
        if frame is not None:
            replace_file(self._frame, packed(_arrays_of(frame)))
        if section is not None:
            self.save_section(section)
        content = packed(known)
        replace_file(self._known, content)
        return digest(content)

    def save_section(self, section: Section) -> None:
        """Keep a part of the report alone."""
        self._section.parent.mkdir(exist_ok=True)
        replace_file(self._section, json_text(_told(section)).encode())

    @property
    def kept(self) -> bool:
        """Whether there is anything: steps of older run folders have nothing."""
        return self._known.is_file()

    def known(self, wanted: str) -> NamedArrays:
        """Return what was known of the chip when the step was done, ``wanted`` being its digest."""
        content = read_bytes(self._known, "record of a finished step", most=ARRAYS_MAX)
        if wanted and digest(content) != wanted:
            raise StorageError(
                f"{self._known} is not as it was written: what step {self.step!r} found out of the chip is lost. To do "
                f"it again from its beginning: xbarlab resume {self._known.parent.parent} --repeat {self.step}"
            )
        return unpack_arrays(content, f"{self._known} cannot be read")

    def section(self) -> Section | None:
        """Return the step's part of the report; None where it was not kept or cannot be read."""
        with suppress(RefusedError, ValueError, KeyError, TypeError):
            if self._section.is_file():
                return _section(read_json(self._section, "section of a report"))
        return None

    def frame(self) -> DataFrame | None:
        """Return the step's table; None where none was kept or it cannot be read."""
        from pandas import DataFrame

        with suppress(RefusedError, ValueError, KeyError, TypeError):
            if self._frame.is_file():
                arrays = read_arrays(self._frame, "table of a finished step")
                return DataFrame({str(name): arrays[f"c{k}"] for k, name in enumerate(arrays["names"].tolist())})
        return None

    def discard(self) -> None:
        """Forget it: the step begins anew."""
        for path in (self._known, self._section, self._frame):
            path.unlink(missing_ok=True)


def _arrays_of(frame: DataFrame) -> NamedArrays:
    columns = [np.asarray(frame.iloc[:, k]) for k in range(frame.shape[1])]
    plain = {f"c{k}": one.astype(str) if one.dtype.kind == "O" else one for k, one in enumerate(columns)}
    return {"names": np.array([str(name) for name in frame.columns], dtype=np.str_), **plain}


def drawn(section: Section) -> Section:
    """Return a section whose figures are pictures, so that what they were drawn from can be let go."""
    return replace(section, figures=[(caption, Picture.of(figure)) for caption, figure in section.figures])


def _told(section: Section) -> dict[str, Any]:
    pictures = [(caption, Picture.of(figure)) for caption, figure in section.figures]
    return {
        "title": section.title,
        "text": section.text,
        "leads": section.leads,
        "box": section.box,
        "figures": [
            {"caption": caption, "width": picture.width, "png": base64.b64encode(picture.png).decode("ascii")}
            for caption, picture in pictures
        ],
        "tables": [{"caption": caption, "columns": _columns(table)} for caption, table in section.tables],
    }


def _columns(table: DataFrame) -> list[dict[str, Any]]:
    columns = (table.iloc[:, k] for k in range(table.shape[1]))
    return [{"name": str(one.name), "kind": str(one.dtype), "values": one.tolist()} for one in columns]


def _section(told: Mapping[str, Any]) -> Section:
    from pandas import Series, concat

    tables: list[tuple[str, Any]] = []
    for one in cast("list[dict[str, Any]]", told["tables"]):
        columns = [Series(column["values"], name=column["name"], dtype=column["kind"]) for column in one["columns"]]
        tables.append((one["caption"], concat(columns, axis=1)))
    figures = [
        (one["caption"], Picture(base64.b64decode(one["png"]), float(one["width"])))
        for one in cast("list[dict[str, Any]]", told["figures"])
    ]
    stands = {name: bool(told.get(name, False)) for name in ("leads", "box")}
    return Section(told["title"], told["text"], figures, tables, **stands)
