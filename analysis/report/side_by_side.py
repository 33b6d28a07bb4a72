"""Two runs on one page: numbers beside each other, and the figures of steps of the same title."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..plots.plots import Picture
from ..quantities import HIGH, LOW, Quantity, describe, format_value
from .report import COST_KEYS, Section, interval_text, unbroken

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

HALF = 4.6
"""Width of a figure of which two fit beside each other [inch]."""
NOT_COMPARED = {*COST_KEYS, "steps_planned", "steps_done"}


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two runs.

    Attributes
    ----------
    name : str
        What it is called on the page.
    title : str
        Of its runbook.
    summary : mapping
    sections : sequence of Section
    provenance : mapping
    """

    name: str
    title: str
    summary: Mapping[str, float]
    sections: Sequence[Section]
    provenance: Mapping[str, str]


@dataclass(frozen=True)
class Pair:
    """One quantity in both runs, by its key in each."""

    a: str
    b: str


def paired(a: Mapping[str, float], b: Mapping[str, float]) -> list[Pair]:
    """Return the quantities both runs have: by key, else by a name that each run has once, whatever its steps' ids."""
    found = [Pair(key, key) for key in a if key in b and not describe(key).bound]
    taken = {pair.a for pair in found}
    left = [
        {key: describe(key).name for key in side if key not in taken and not describe(key).bound} for side in (a, b)
    ]
    counts = [Counter(names.values()) for names in left]
    other = {name: key for key, name in left[1].items()}
    alike = {key: other[name] for key, name in left[0].items() if counts[0][name] == counts[1][name] == 1}
    order = list(a)
    return sorted([*found, *(Pair(*keys) for keys in alike.items())], key=lambda pair: order.index(pair.a))


def sections_of_both(a: Side, b: Side) -> list[Section]:
    """Return the parts of the page: numbers, what only one run has, figures side by side, provenance."""
    pairs = [pair for pair in paired(a.summary, b.summary) if describe(pair.a).name not in NOT_COMPARED]
    costs = [pair for pair in paired(a.summary, b.summary) if describe(pair.a).name in NOT_COMPARED - {"seed"}]
    text = (
        f"A is {a.name} ({a.title}), B is {b.name} ({b.title}). Intervals are 95 %; “apart” where those of A and B do "
        "not overlap, which asks for more than a test of the difference at 95 % would. Where one of them has no "
        "interval nothing is said."
    )
    numbers = Section("Numbers beside each other", text, [], [("", _numbers(a.summary, b.summary, pairs))])
    sides = [(side, {"seed", *(pair.a if side is a else pair.b for pair in [*pairs, *costs])}) for side in (a, b)]
    alone = [
        (f"Only {letter}, {side.name}, has these.", table)
        for letter, (side, shown) in zip("AB", sides, strict=True)
        if len(table := _alone(side.summary, shown))
    ]
    return [
        *_boxes(a, b),
        numbers,
        *([Section("What only one of them measured", "", [], alone)] if alone else []),
        *_figures(a, b),
        Section(
            "Cost and provenance",
            "A line that differs between A and B is marked.",
            [],
            [("What they cost.", _numbers(a.summary, b.summary, costs, judged=False)), ("", _provenance(a, b))],
        ),
    ]


def _boxes(a: Side, b: Side) -> list[Section]:
    """Return what follows from each run, one under the other."""
    told = [
        (f"{letter}, {side.name}", one) for letter, side in (("A", a), ("B", b)) for one in side.sections if one.box
    ]
    return [
        Section(
            title,
            next(one.text for _, one in told if one.title == title),
            tables=[(name, table) for name, one in told if one.title == title for _, table in one.tables],
            box=True,
        )
        for title in dict.fromkeys(one.title for _, one in told)
    ]


def verdict(a: Side, b: Side) -> str:
    """Return in one sentence how many of the shared numbers their intervals hold apart."""
    pairs = [pair for pair in paired(a.summary, b.summary) if describe(pair.a).name not in NOT_COMPARED]
    said = Counter(_apart(a.summary, b.summary, pair) for pair in pairs)
    if not pairs:
        return "The two runs have no quantity in common."
    return (
        f"{len(pairs)} quantities in common: {said['apart']} apart, {said['overlap']} with intervals that overlap, "
        f"{said['']} without an interval in both."
    )


def _ends(summary: Mapping[str, float], key: str) -> tuple[float, float, float]:
    value, low, high = (float(summary.get(key + end, math.nan)) for end in ("", LOW, HIGH))
    return value, low, high


def _apart(a: Mapping[str, float], b: Mapping[str, float], pair: Pair) -> str:
    """Return "apart" or "overlap", "" where one of them has no whole interval."""
    (_, low_a, high_a), (_, low_b, high_b) = _ends(a, pair.a), _ends(b, pair.b)
    if not all(math.isfinite(end) for end in (low_a, high_a, low_b, high_b)):
        return ""
    return "apart" if high_a < low_b or high_b < low_a else "overlap"


def _numbers(
    a: Mapping[str, float], b: Mapping[str, float], pairs: Sequence[Pair], *, judged: bool = True
) -> DataFrame:
    from pandas import DataFrame

    rows: list[dict[str, str]] = []
    for pair in pairs:
        quantity, one, two = describe(pair.a), _ends(a, pair.a), _ends(b, pair.b)
        row = {
            "quantity": _called(quantity, pair),
            **dict(zip(("A", "A, 95 %"), _shown(one, quantity.unit), strict=True)),
            **dict(zip(("B", "B, 95 %"), _shown(two, quantity.unit), strict=True)),
            "B − A": unbroken(format_value(two[0] - one[0], quantity.unit, like=one[0] or None)),
            "intervals": _apart(a, b, pair),
        }
        kept = (
            row if judged else {name: value for name, value in row.items() if name in ("quantity", "A", "B", "B − A")}
        )
        rows.append(kept)
    return DataFrame(rows)


def _called(quantity: Quantity, pair: Pair) -> str:
    if pair.a == pair.b:
        return quantity.key
    return f"{quantity.name} ({pair.a} | {pair.b})"


def _shown(ends: tuple[float, float, float], unit: str) -> tuple[str, str]:
    """Return value and interval for a table."""
    return unbroken(format_value(ends[0], unit)), unbroken(interval_text(*ends, unit))


def _alone(summary: Mapping[str, float], shared: set[str]) -> DataFrame:
    from pandas import DataFrame

    rows: list[dict[str, str]] = []
    for key in summary:
        quantity = describe(key)
        if key in shared or quantity.bound:
            continue
        value, interval = _shown(_ends(summary, key), quantity.unit)
        rows.append({"quantity": key, "value": value, "95 %": interval, "definition": quantity.definition})
    return DataFrame(rows)


def _figures(a: Side, b: Side) -> list[Section]:
    """Return a part for every title that both have, with their figures beside each other; then what one has alone."""
    parts: list[Section] = []
    of = [_by_title(side.sections) for side in (a, b)]
    for key, mine in of[0].items():
        theirs = of[1].get(key)
        if theirs is None or not (mine.figures and theirs.figures):
            continue
        figures = _beside(mine.figures, theirs.figures)
        left = [
            f"{letter} has {len(rest)} more: {'; '.join(caption for caption, _ in rest)}"
            for letter, rest in (
                ("A", mine.figures[len(theirs.figures) :]),
                ("B", theirs.figures[len(mine.figures) :]),
            )
            if rest
        ]
        parts.append(Section(key[0] if key[1] == 0 else f"{key[0]} ({key[1] + 1})", " ".join(left), figures))
    alone = [
        f"Only {letter} has figures of: {', '.join(titles)}."
        for letter, here, there in (("A", of[0], of[1]), ("B", of[1], of[0]))
        if (
            titles := [key[0] for key, one in here.items() if one.figures and not (key in there and there[key].figures)]
        )
    ]
    return [*parts, *([Section("Figures that stand alone", "\n\n".join(alone))] if alone else [])]


def _by_title(sections: Sequence[Section]) -> dict[tuple[str, int], Section]:
    """Return sections by title and which one of that title it is."""
    seen: Counter[str] = Counter()
    found: dict[tuple[str, int], Section] = {}
    for section in sections:
        found[section.title, seen[section.title]] = section
        seen[section.title] += 1
    return found


def _beside(
    a: Sequence[tuple[str, Figure | Picture]], b: Sequence[tuple[str, Figure | Picture]]
) -> list[tuple[str, Figure | Picture]]:
    """Return figures of the same place in turn: A's, B's, A's next, …"""
    return [
        (f"{letter}: {caption}", _narrow(figure))
        for pair in zip(a, b, strict=False)
        for letter, (caption, figure) in zip("AB", pair, strict=True)
    ]


def _narrow(figure: Figure | Picture) -> Picture:
    picture = Picture.of(figure)
    return Picture(picture.png, min(picture.width, HALF))


def _provenance(a: Side, b: Side) -> DataFrame:
    from pandas import DataFrame

    names = list(dict.fromkeys([*a.provenance, *b.provenance]))
    told = [(name, a.provenance.get(name, "–"), b.provenance.get(name, "–")) for name in names]
    return DataFrame(
        [(name, one, two, "" if one == two else "differs") for name, one, two in told], columns=["", "A", "B", " "]
    )
