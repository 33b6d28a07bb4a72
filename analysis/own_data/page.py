"""The report of an analysis in a folder: the page, the numbers as JSON, every figure as PNG, every table as CSV."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...common.errors import RefusedError
from ..measured_data.measured import Measured
from ..plots.plots import save
from ..report.report import write_report
from .finding import Finding

REPORT, SUMMARY = "report.html", "summary.json"


def summary_of(findings: Sequence[Finding]) -> dict[str, float]:
    """Return the numbers of all findings as flat keys ``id.name``; of one finding without its id."""
    alone = len(findings) == 1
    return {
        name if alone else f"{finding.id}.{name}": value
        for finding in findings
        for name, value in finding.metrics().items()
    }


def write_findings(
    findings: Sequence[Finding], measured: Sequence[Measured], folder: Path, *, subject: str, version: str = ""
) -> Path:
    """Write ``report.html``, ``summary.json``, ``figures/`` and ``tables/`` into a new folder; return the page.

    Raises
    ------
    RefusedError
        The folder is there already, or cannot be made.
    """
    try:
        folder.mkdir(parents=True)
        (folder / "figures").mkdir()
        (folder / "tables").mkdir()
    except FileExistsError as error:
        raise RefusedError(f"{folder} is there already: give another name with --out") from error
    except OSError as error:
        raise RefusedError(f"{folder} cannot be made: {error.strerror or error}") from error
    summary = summary_of(findings)
    plain = {name: value if math.isfinite(value) else None for name, value in summary.items()}
    text = json.dumps(plain, indent=2, ensure_ascii=False)
    (folder / SUMMARY).write_text(text + "\n", encoding="utf-8")
    for finding in findings:
        name = re.sub(r"\W+", "_", finding.id)
        for number, (_, figure) in enumerate(finding.figures, start=1):
            save(figure, folder / "figures" / f"{name}_{number}.png")
        finding.frame.to_csv(folder / "tables" / f"{name}.csv", index=False)
    titles = list(dict.fromkeys(one.title for one in measured))
    return write_report(
        folder / REPORT,
        title=" and ".join(titles) if len(titles) < 3 else f"{len(titles)} files",
        lead=f"xbarlab analyse {subject}, measurements: {', '.join(finding.id for finding in findings)}.",
        summary=summary,
        sections=[finding.section() for finding in findings],
        provenance=_provenance(measured, version),
        verdict=_on_top(findings),
    )


def _on_top(findings: Sequence[Finding]) -> str:
    """Return what a reader must not miss, or how much was analysed."""
    remarks = [
        f"{finding.id}: {remark}" if len(findings) > 1 else f"{remark[:1].upper()}{remark[1:]}"
        for finding in findings
        for remark in finding.remarks
    ]
    if remarks:
        return f"{'; '.join(remarks)}."
    return f"{len(findings)} measurement{'s' if len(findings) != 1 else ''} analysed."


def _provenance(measured: Sequence[Measured], version: str) -> Mapping[str, str]:
    said: dict[str, str] = {"xbarlab": version} if version else {}
    for one in measured:
        dropped = f"; {one.dropped:,} lines without a number were left out" if one.dropped else ""
        said[one.id] = (
            f"{len(one.table):,} lines of {', '.join(one.files)}; {one.source}; licence: {one.licence}{dropped}"
        )
        for name, source in one.protocol.sources.items():
            said[f"{one.id}: {name}"] = source
        if one.protocol.notes:
            said[f"{one.id}: notes"] = one.protocol.notes
    return said
