"""Chips by their wear: which are known, and what one has borne. Nothing is opened but the ledger."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...analysis.report.report import Section
from ...analysis.report.wear import Maps, Summary, pulses_map, stress_map, wear_lines, wear_section
from ...common.errors import RefusedError, unknown
from ...instruments.chip.wear_store import Account, WearStore, unreadable, wear_file
from ...instruments.chip.wear_summary import wear_maps, wear_summary
from ...instruments.limits import Limits
from ...instruments.station.station import Bench
from ...instruments.station.station_file import StationFile, read_station
from ..stations import find_station

CHECK_FACT = "station_check", "last"
"""Under which name and key of a chip's account the last full check of its bench is kept."""


@dataclass(frozen=True)
class ChipWear:
    """What one chip has borne: ``summary`` and ``maps`` as of a wear ledger; ``checked``: its bench, in words."""

    summary: Summary
    maps: Maps
    budget: float | None
    budget_source: str
    checked: str = ""

    @property
    def lines(self) -> list[tuple[str, str]]:
        """What to print: (what, how much)."""
        lines = wear_lines(self.summary, budget=self.budget, budget_source=self.budget_source)
        return [*lines, ("bench checked", self.checked)] if self.checked else lines


def bench_wear(bench: Bench) -> Section:
    """Return the section "Wear" of a report, of the chip on a bench that is open or was."""
    ledger, limits = bench.wear, bench.wear.limits or Limits()
    budget, source = _stated(float(limits.pulses_total_max), limits.whose("pulses_total_max"))
    return wear_section(ledger.summary(), ledger.maps(), budget=budget, budget_source=source, notes=ledger.notes)


def list_chips() -> list[str]:
    """Return one line for every chip in the user's ledger, the one used last first."""
    path = wear_file()
    if not path.is_file():
        return [f"no chip has been used yet: there is no wear ledger {path}"]
    with _reading(path) as store:
        accounts = store.used_accounts()
        rows = [_row(account, wear_summary(account, store.planes(account))) for account in accounts]
    if not rows:
        return [f"no chip has been used yet in {path}"]
    rows.insert(0, ("chip", "size", "pulses", "most of a cell", "last used (UTC)"))
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def show_chip(name: str, out: Path | None) -> list[str]:
    """Return a chip's table as lines; draw its maps into ``out`` (a PNG file, the stress beside it) when given.

    Parameters
    ----------
    name : str
        A chip's id, or a station: path or name of a shipped one.
    """
    wear = chip_wear(name)
    told = [(f"chip {wear.summary['chip']}", f"{wear.summary['rows']} × {wear.summary['cols']} cells"), *wear.lines]
    width = max(len(what) for what, _ in told)
    lines = [f"{what.ljust(width)}  {much}" for what, much in told]
    return lines if out is None else [*lines, *_drawn(wear, out)]


def chip_wear(name: str) -> ChipWear:
    """Return what the ledger knows of a chip, given by its id or by a station."""
    station = _station(name)
    if station is None:
        return _known([name], wear_file(), called=f"chip {name}")
    path = wear_file(station.wear, beside=station.path.parent)
    if station.chip is None:
        raise RefusedError(f"{station.path} names no chip file: wear is kept by the id of a chip")
    if station.boards:
        ids = ", ".join(chip.id for chip in station.boards.values() if chip is not None)
        raise RefusedError(f"{station.path} has several chips, each with an account of its own: give one's id, {ids}")
    accounts = [station.account(simulated=simulated) for simulated in (True, False)]
    limits = Limits.widest().narrowed(station.chip.limits, source=station.chip.source)
    limits = limits.narrowed(station.limits, source=station.limits.source)
    why = (
        ""
        if accounts[0] is not None
        else "; a mock chip without a state: file is a fresh one each time, nothing is kept"
    )
    wear = _known([name for name in accounts if name is not None], path, called=f"the chip of {station.path}", why=why)
    budget, source = _stated(float(limits.pulses_total_max), limits.whose("pulses_total_max"))
    return ChipWear(wear.summary, wear.maps, budget, source, wear.checked)


def _station(name: str) -> StationFile | None:
    """Return the station ``name`` stands for, None when it looks like a chip's id."""
    path = Path(name)
    if path.suffix in {".yaml", ".yml"} or path.is_file():
        return read_station(find_station(name))
    try:
        return read_station(find_station(name))
    except RefusedError:
        return None


def _known(names: Sequence[str], path: Path, *, called: str, why: str = "") -> ChipWear:
    if not path.is_file():
        raise RefusedError(f"nothing is known of {called}: there is no wear ledger {path}{why}")
    with _reading(path) as store:
        accounts = {account.chip: account for account in store.accounts()}
        found = next((accounts[name] for name in names if name in accounts), None)
        if found is None:
            # The account of a simulated chip is called after its bench, too.
            begun = [account for chip, account in accounts.items() if chip.startswith(f"{names[0]} (")]
            found = begun[0] if len(begun) == 1 else None
        if found is None:
            used = [account.chip for account in store.used_accounts()]
            raise RefusedError(f"nothing is known of {called} in {path}: {unknown('chip', names[0], used)}{why}")
        planes = store.planes(found)
        checked = _checked(store, found)
    budget, source = (None, "") if found.budget is None else _stated(found.budget, found.budget_source)
    return ChipWear(wear_summary(found, planes), wear_maps(planes), budget, source, checked)


def _checked(store: WearStore, account: Account) -> str:
    """Return when the chip's bench was last checked in full and what came of it, "" where it never was."""
    fact = store.fact(account.chip, *CHECK_FACT)
    if fact is None or not fact.of(account.birth):
        return ""
    known: dict[str, Any] = json.loads(fact.content)
    wrong = [str(one["check"]) for one in known["findings"] if one["ok"] is False]
    came = f"{len(wrong)} wrong ({', '.join(wrong)})" if wrong else "nothing wrong"
    return f"{fact.date} UTC, {known['about'].get('Station', '')}: {came} in {len(known['findings'])} checks"


@contextmanager
def _reading(path: Path) -> Generator[WearStore]:
    """Open a ledger for the body; what is damaged in it is one sentence."""
    store = WearStore(path)
    try:
        yield store
    except sqlite3.Error as error:
        raise unreadable(path, error) from error
    finally:
        store.close()


def _stated(budget: float, source: str) -> tuple[float | None, str]:
    """Return a budget that somebody set; the driver's own, which is beyond every chip's life, says nothing."""
    return (None, "") if budget >= Limits().pulses_total_max else (budget, source)


def _drawn(wear: ChipWear, out: Path) -> list[str]:
    from ...analysis.plots.plots import save

    if out.suffix.lower() != ".png":
        raise RefusedError(f"--out {out} is no PNG file: give a name that ends in .png")
    stress = out.with_name(f"{out.stem}_stress.png")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        save(pulses_map(wear.maps["pulses"]), out)
        save(stress_map(wear.maps["set_stress"], wear.maps["reset_stress"]), stress)
    except OSError as error:
        raise RefusedError(f"--out {out} cannot be written: {error}") from error
    return [f"saved {out} and {stress}"]


def _row(account: Account, summary: Summary) -> tuple[str, str, str, str, str]:
    pulses = float(summary["set_pulses_total"]) + float(summary["reset_pulses_total"])
    size = f"{account.rows} × {account.cols}"
    return account.chip, size, f"{pulses:,.0f}", f"{float(summary['pulses_max']):,.0f}", account.last_use or "never"
