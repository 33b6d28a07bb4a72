"""What a full check found: as JSON, as a page, and in the account of the chip."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ....analysis.report.report import Section, write_report
from ....common.errors import RefusedError
from ....instruments.chip.chip_facts import facts_of
from ...runner.chip_wear import CHECK_FACT
from .check import Finding, passed

if TYPE_CHECKING:
    from ....instruments.station.station import Bench

_MARKS = {True: "ok", False: "not ok", None: "not checked"}


def record(findings: Sequence[Finding], about: Mapping[str, str]) -> dict[str, object]:
    """Return a check as it is written down."""
    return {
        "format": 1,
        "date": f"{datetime.now(UTC):%F %T} UTC",
        "passed": passed(findings),
        "about": dict(about),
        "findings": [asdict(finding) for finding in findings],
    }


def keep(findings: Sequence[Finding], about: Mapping[str, str], out: Path) -> tuple[Path, Path]:
    """Write ``check.json`` and ``check.html`` into a folder and return them."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        data = out / "check.json"
        text = json.dumps(record(findings, about), indent=1, ensure_ascii=False)
        data.write_text(text + "\n", encoding="utf-8")
        return data, _page(findings, about, out / "check.html")
    except OSError as error:
        raise RefusedError(f"--out {out} cannot be written: {error.strerror or error}") from error


def keep_in_account(bench: Bench, findings: Sequence[Finding], about: Mapping[str, str]) -> None:
    """Keep a check in the account of the chip on an open bench; the one before it is replaced."""
    account = facts_of(bench.array)
    if account is not None:
        account.keep_fact(*CHECK_FACT, json.dumps(record(findings, about), ensure_ascii=False))


def _page(findings: Sequence[Finding], about: Mapping[str, str], path: Path) -> Path:
    from pandas import DataFrame

    rows = [(one.check, one.found, one.wanted, _MARKS[one.ok]) for one in findings]
    table = DataFrame(rows, columns=["check", "found", "wanted", "result"])
    todo = "\n\n".join(f"{one.check}: {one.remedy}" for one in findings if one.remedy and not one.ok)
    wrong = sum(one.ok is False for one in findings)
    open_ = sum(one.ok is None for one in findings)
    verdict = (
        f"{wrong} of {len(findings)} checks failed" if wrong else f"Nothing wrong in {len(findings) - open_} checks"
    )
    sections = [Section("Findings", tables=[("What was found, and what is wanted", table)])]
    if todo:
        sections.append(Section("What to do", text=todo))
    provenance = {**about, "Date": f"{datetime.now(UTC):%F %T} UTC"}
    return write_report(
        path,
        title=f"Check of {about.get('Station', 'a station')}",
        summary={},
        sections=sections,
        provenance={name: value for name, value in provenance.items() if value},
        verdict=f"{verdict}; {open_} could not be checked." if open_ else f"{verdict}.",
    )
