"""``xbarlab station …``: is a bench fit to touch a chip, and is it as good as its word?"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ....common.text import printable
from ..options import PluginOption, TraceOption, say

if TYPE_CHECKING:
    from .check import Finding

station_app = typer.Typer(no_args_is_help=True, help="Look after a bench.")


@station_app.command("check")
def check_station(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Station file, or a shipped station.")],
    full: Annotated[bool, typer.Option("--full", help="The whole contract, pulses at the read voltage too.")] = False,
    cells: Annotated[
        str | None, typer.Option(metavar="R,C", help="With --full: cells that may be pulsed [default: four good ones].")
    ] = None,
    resistor: Annotated[
        str | None, typer.Option(metavar="OHM", help="With --full: a known resistor in the place of the first of them.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="With --full: begin without asking; no cable is pulled.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="With --full: folder of the result [default: runs/check-<time>]."),
    ] = None,
    plugin: PluginOption = None,
    trace: TraceOption = None,
) -> None:
    """Check identity, open lines (≥ 1 MΩ), read offset, known resistor and limits. No cell is pulsed.

    With --full the whole contract of an array is held against it, at the voltage of a read: what will be done is said
    first, and on a real bench asked. The result is a table, check.json, check.html, and a line in the chip's account.

    \b
    xbarlab station check mock_ta_hfo2
    xbarlab station check my.station.yaml
    xbarlab station check my.station.yaml --full --cells 0:2,0:2 --resistor 10kohm --out checks/monday
    """
    from ....common.errors import RefusedError
    from ....common.plugin_files import run_files
    from .check import check_bench, passed, print_findings

    run_files(plugin or ())
    if not full:
        if cells is not None or resistor is not None or yes or out is not None:
            raise RefusedError("--cells, --resistor, --yes and --out belong to the full check: say --full, too")
        from ...stations import open_bench

        with open_bench(file) as bench:
            findings = check_bench(bench)
    else:
        findings = _fully(file, cells=cells, resistor=resistor, yes=yes, out=out)
    print_findings(findings)
    raise typer.Exit(0 if passed(findings) else 3)


def _fully(file: str, *, cells: str | None, resistor: str | None, yes: bool, out: Path | None) -> list[Finding]:
    from ....common.units import si_number
    from .full import Person, check_fully
    from .page import keep

    ohms = None if resistor is None else float(si_number(resistor, "ohm"))
    findings, about = check_fully(file, Person(_tell, lambda text: _ask(text, yes=yes)), cells=cells, resistor=ohms)
    folder = out or Path("runs") / f"check-{datetime.now():%Y%m%d-%H%M%S}"
    say([f"written: {', '.join(str(path) for path in keep(findings, about, folder))}"])
    return findings


def _tell(line: str) -> None:
    print(printable(line), flush=True)


def _ask(question: str, *, yes: bool) -> bool:
    """Ask whoever sits at the terminal; without one, and for what needs hands under ``--yes``, it is no."""
    if question == "Begin?" and yes:
        return True
    if yes or not sys.stdin.isatty():
        return False
    return typer.confirm(printable(question))
