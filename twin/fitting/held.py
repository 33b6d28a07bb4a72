"""The table of the half that a fit never saw: measured, mock, the floor between two chips."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from ..objective import PROTOCOL
from ..panels import panels_of
from .evaluation import Setting, Trial, as_mock, panels
from .holdout import Split
from .result import Row, floors


def held_rows(
    halves: Split,
    setting: Setting,
    before: Mapping[str, float] | None,
    after: Mapping[str, float],
    *,
    size: int,
    seed: int,
) -> list[Row]:
    """Return the table of the held-out half; of a measurement that has none, of what was fitted.

    Parameters
    ----------
    before, after : mapping
        Numbers the fit began with (None where it moved none of the cells), and what it came to.
    size : int
        Cells of a replay, at least those of the setting.
    """
    seen = [one for one in halves.fitted if one.id in halves.not_held]
    rows: list[Row] = []
    between = floors_of(halves)
    known = _for_other_chips(halves, after)
    for data, held in ((halves.held, True), (seen, False)):
        if not data:
            continue
        large = dataclasses.replace(setting, data=list(data), size=max(setting.size, size))
        new, groups = panels(large, Trial(values={**after, **known}, seed=seed + 700_000))
        old = panels(large, Trial(values={**before, **known}, seed=seed + 700_000))[0] if before is not None else []
        was = {panel.name: panel for panel in old}
        rows += [
            Row(panel=one, group=group, before=was.get(one.name), floor=between.get(one.name), held=held)
            for one, group in zip(new, groups, strict=True)
        ]
    return rows


def _for_other_chips(halves: Split, values: Mapping[str, float]) -> dict[str, float]:
    """Return unknown numbers of held-out protocols: what was estimated for the same measurement of a fitted chip."""
    known: dict[str, float] = {}
    for measured in halves.held:
        stem = re.sub(r"_\d+$", "", measured.id)
        for name, value in values.items():
            if name.startswith(f"{PROTOCOL}.") and re.sub(r"_\d+$", "", name.split(".")[1]) == stem:
                known[f"{PROTOCOL}.{measured.id}.{name.split('.', 2)[2]}"] = value
    return {name: value for name, value in known.items() if name not in values}


def floors_of(halves: Split) -> dict[str, float]:
    """Return the distance between two chips for every panel of the held-out half that another chip has, too."""
    found: dict[str, float] = {}
    everything = [*halves.fitted, *halves.held]
    for measured in halves.held:
        for other in everything:
            if other.chip != measured.chip and other.kind == measured.kind and other.protocol == measured.protocol:
                mine = panels_of(measured, as_mock(measured))
                renamed = dataclasses.replace(other, id=measured.id)
                found |= floors(panels_of(renamed, as_mock(renamed)), mine)
                break
    return found
