"""One line of a journal: numbered, with a checksum, so that a lost or damaged one is noticed and not read over.

Format 1 had neither; the first line of a journal, and the first that is written into an older one, says the format.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...common.files import parse_json
from .storage import StorageError, json_text

FORMAT = 2
_SUM = ', "sum": "'

Entry = dict[str, Any]


def encoded(number: int, entry: Entry) -> bytes:
    """Return the line of an entry, ``number`` being its place in the file from 1."""
    body = json_text({"n": number, **entry})[:-1]
    return f'{body}{_SUM}{zlib.crc32(body.encode()):08x}"}}\n'.encode()


@dataclass(frozen=True, slots=True)
class Line:
    """What stands in one line: an entry, or what is wrong with it."""

    number: int
    entry: Entry | None
    wrong: str = ""
    torn: bool = False
    """Whether a kill or a power cut leaves such a line behind."""


def decoded(number: int, raw: bytes, *, numbered: bool) -> Line:
    """Return what stands in line ``number`` of a file whose lines are ``numbered``, or were not yet."""
    if not raw.strip(b" \t\r\0"):
        return Line(number, None, "it holds zeros" if b"\0" in raw else "it is blank", torn=True)
    try:
        entry = parse_json(raw)
    except ValueError:
        return Line(number, None, "it is no JSON", torn=True)
    if not isinstance(entry, dict):
        return Line(number, None, "it holds no event")
    found: Entry = entry
    if numbered or "sum" in found:
        body, _, rest = raw.decode("utf-8", errors="replace").rpartition(_SUM)
        if rest.strip() != f'{zlib.crc32(body.encode()):08x}"}}':
            return Line(number, None, "it does not have the checksum noted in it")
        if found.get("n") != number:
            return Line(number, None, f"it says that it is line {found.get('n')!r}")
    wrong = odd(found)
    return Line(number, None, wrong) if wrong else Line(number, found)


_TYPES: dict[str, type | tuple[type, ...]] = {
    "event": str, "seconds": (int, float), "epoch": (int, float), "step": str, "unit": str, "order": int,
    "dataset": str, "blocks": int, "state": bool, "cost": dict, "pieces": list, "format": int, "run": str,
    "session": str, "metrics": dict,
}  # fmt: skip
_NEEDED = {
    "unit_done": ("step", "unit", "order", "dataset", "blocks", "state"),
    "dataset_opened": ("step", "dataset"),
    "step_started": ("step",),
    "step_done": ("step",),
    "step_repeated": ("step",),
}
_COST = ("transactions", "slots", "pulses", "chip_seconds")


def odd(entry: Entry) -> str:
    """Return what is odd about the types in a line, "" when nothing is."""
    needed = ("event", "seconds", *_NEEDED.get(str(entry.get("event")), ()))
    for key in needed:
        if key not in entry:
            return f"it has no {key!r}"
    for key, wanted in _TYPES.items():
        if key in entry and (
            not isinstance(entry[key], wanted) or (isinstance(entry[key], bool) and wanted is not bool)
        ):
            return f"its {key!r} is {entry[key]!r}"
    for key in _COST if "cost" in entry else ():
        value = entry["cost"].get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"its cost says {value!r} for {key!r}"
    pieces = entry.get("pieces")
    if pieces is not None and not (len(pieces) == 2 and all(type(at) is int and at >= 0 for at in pieces)):
        return f"its 'pieces' is {pieces!r}"
    return ""


def read_lines(path: Path) -> list[Line]:
    """Return the lines of a journal that can be relied upon; a last one that was torn is among them.

    Raises
    ------
    StorageError
        A line is missing, blank, filled with zeros or damaged where no kill leaves such a one, or the format is one
        that is not known here.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}: give the folder of a run") from error
    raw = content.split(b"\n")
    whole = raw.pop() == b"" if raw else True
    if not whole:
        raw = content.split(b"\n")
    lines: list[Line] = []
    numbered = False
    for number, text in enumerate(raw, start=1):
        line = decoded(number, text, numbered=numbered)
        if line.entry is not None and "format" in line.entry:
            numbered = True
            _refuse_format(path, line.entry["format"])
        before = lines[-1] if lines else None
        if before is not None and before.entry is None and not _ended_here(before, line):
            raise _damaged(path, before, lines)
        lines.append(line)
    if lines and lines[-1].entry is None and (whole and b"\0" not in raw[-1]) and not lines[-1].torn:
        raise _damaged(path, lines[-1], lines)
    return lines


def _ended_here(torn: Line, line: Line) -> bool:
    """Whether ``line`` is one of a session that found ``torn`` as the last one and said so."""
    if line.entry is None or line.entry.get("event") != "run_resumed":
        return False
    return torn.torn and line.entry.get("torn", torn.number) == torn.number


def _refuse_format(path: Path, found: int) -> None:
    if found > FORMAT:
        raise StorageError(
            f"{path} is of format {found}, this xbarlab reads formats 1 to {FORMAT}: go on with the newer one that "
            "began the run"
        )


def _damaged(path: Path, line: Line, lines: list[Line]) -> StorageError:
    good = [one.entry for one in lines if one.entry is not None and one.number < line.number]
    done = [str(entry["step"]) for entry in good if entry["event"] == "step_done"]
    units = [entry for entry in good if entry["event"] == "unit_done"]
    known = f"the lines before it say that {', '.join(done) or 'no step'} was done"
    if units:
        known += f", last unit {units[-1]['unit']!r} of step {units[-1]['step']!r}"
    return StorageError(
        f"{path}:{line.number}: this line cannot be read: {line.wrong}; no kill leaves that behind, the file was "
        f"changed or the disk is failing. What is known: {known}; what was measured is in data.db beside it. Put the "
        "file back as it was, or begin a new run"
    )
