"""The commands ``xbarlab report`` and ``export``: what a run has kept; nothing heavy is imported before they run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import PluginOption, say, warn


def report(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR [DIR]", help="Folder of a run, or of two.")],
    out: Annotated[
        Path | None, typer.Option(metavar="HTML", help="Page of two runs [default: beside the first folder].")
    ] = None,
    plugin: PluginOption = None,
) -> None:
    """Write DIR/report.html anew from what the run has kept, or a page with two runs side by side; no bench is opened.

    \b
    xbarlab report runs/chip12
    xbarlab report runs/chip12 runs/chip13
    """
    from ..runner.plugin_grant import ask_on_terminal
    from .report_two import report_runs

    say([str(report_runs(directories, out=out, plugins=plugin or (), ask=ask_on_terminal))])


def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a run.")],
    form: Annotated[
        str, typer.Option("--to", metavar="FORMAT", help="netcdf, csv or parquet; or chip, aihwkit or crosssim.")
    ] = "netcdf",
    plugin: PluginOption = None,
) -> None:
    """Write a run into DIR/export: every dataset as a file, or its chip as other programs take it.

    \b
    xbarlab export runs/chip12 --to csv           every dataset; netcdf and parquet likewise
    xbarlab export runs/chip12 --to chip          maps, reads, numbers and provenance in one CF netCDF file
    xbarlab export runs/chip12 --to aihwkit       pulsed device and noise model as a preset
    xbarlab export runs/chip12 --to crosssim      lookup tables of the change by one pulse
    """
    from ..runner.plugin_grant import ask_on_terminal
    from .export import export_run

    say([str(path) for path in export_run(directory, form, plugins=plugin or (), ask=ask_on_terminal, tell=warn)])
