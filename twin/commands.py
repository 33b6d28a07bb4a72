"""The commands ``xbarlab twin …``; nothing heavy is imported before one runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..runbooks.commands.options import PluginOption, QuietOption, say

twin_app = typer.Typer(no_args_is_help=True, help="The twin of a chip: fit it, rehearse runs on it, compare.")


@twin_app.command("fit")
def fit_twin(
    data: Annotated[
        list[str], typer.Argument(metavar="DATA…", help="Data descriptions, names of shipped ones, folders of runs.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE", help="The profile to write (….profile.yaml).")],
    folder: Annotated[
        Path | None, typer.Option("--folder", metavar="DIR", help="Where the data of the descriptions are.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", metavar="BASE", help="Profile to begin with: a name or a file.")
    ] = None,
    mode: Annotated[
        Literal["calibrate", "full"],
        typer.Option(help="calibrate: a few numbers of a chip of a known technology; full: all that the data move."),
    ] = "calibrate",
    hold_out: Annotated[
        str,
        typer.Option(
            "--hold-out", metavar="WHAT", help="cells, chips, dates or temperatures; chips=B or dates=… names them."
        ),
    ] = "cells",
    only: Annotated[
        str, typer.Option("--only", metavar="IDS", help="Measurements to use, with commas; all by default.")
    ] = "",
    free: Annotated[
        str, typer.Option("--free", metavar="NAMES", help="Numbers to fit instead of those of the mode, with commas.")
    ] = "",
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seeds search and replays.")] = 0,
    cells: Annotated[
        int | None, typer.Option(min=16, help="Most cells of each measurement [default: 512, full 2048].")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.05, max=10_000.0, help="Time it may take [default: 1.5, full 25].")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, max=512, help="Processes [default: one per core].")] = None,
    quiet: QuietOption = False,
) -> None:
    """Fit a chip's profile from measurements, hold it against those the fit never saw, and say how well it is known.

    \b
    xbarlab twin fit runs/chip12 -o chip12.profile.yaml
    xbarlab twin fit my.data.yaml --mode full --hold-out chips -o my_chip.profile.yaml
    xbarlab twin fit hfo2_1t1r --folder data --only ispp,set_volts -o my_chip.profile.yaml
    """
    from .fit_report.page import write_report
    from .fit_report.words import lead, misses, unsure
    from .fitting.fit import FitPlan, fit
    from .fitting.profile_file import output_of, write_profile
    from .fitting.sources import read_data

    place, reports = output_of(out)
    measured = read_data(data, folder=folder, only=_names(only))
    plan = FitPlan(
        mode=mode, base=profile, hold_out=hold_out, free=_names(free), seed=seed, cells=cells, minutes=minutes,
        jobs=jobs, quiet=quiet,
    )  # fmt: skip
    result = fit(measured, plan, None if quiet else _tell)
    write_profile(result, place)
    page = write_report(result, reports, place)
    say([*lead(result), *misses(result)[:5], *unsure(result), f"profile {place}", f"report {page}"])


@twin_app.command("check")
def check_profile(
    data: Annotated[
        list[str], typer.Argument(metavar="DATA…", help="Data descriptions, names of shipped ones, folders of runs.")
    ],
    profile: Annotated[str, typer.Option("--profile", metavar="PROFILE", help="Profile to check: a name or a file.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Folder of the report, a new one.")],
    folder: Annotated[
        Path | None, typer.Option("--folder", metavar="DIR", help="Where the data of the descriptions are.")
    ] = None,
    hold_out: Annotated[
        str, typer.Option("--hold-out", metavar="WHAT", help="The half that is shown: as twin fit holds it out.")
    ] = "cells",
    only: Annotated[
        str, typer.Option("--only", metavar="IDS", help="Measurements to use, with commas; all by default.")
    ] = "",
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seeds replays and search.")] = 0,
    cells: Annotated[int | None, typer.Option(min=16, help="Most cells of each measurement [default: 2048].")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, max=512, help="Processes [default: one per core].")] = None,
    quiet: QuietOption = False,
) -> None:
    """Hold a profile against measurements as it is: every protocol replayed, real and mock side by side.

    \b
    xbarlab twin check runs/chip13 --profile chip12.profile.yaml -o chip12_on_13
    xbarlab twin check hfo2_1t1r --folder data --profile hfo2_1t1r -o checked
    """
    from ..common.errors import RefusedError
    from .fit_report.page import write_report
    from .fit_report.words import lead, misses
    from .fitting.fit import FitPlan, check
    from .fitting.sources import read_data

    if out.exists() or not out.parent.is_dir():
        raise RefusedError(f"{out} is there already, or the folder it goes into is not: give another name")
    measured = read_data(data, folder=folder, only=_names(only))
    plan = FitPlan(mode="check", base=profile, hold_out=hold_out, seed=seed, cells=cells, jobs=jobs, quiet=quiet)
    result = check(measured, plan, None if quiet else _tell)
    page = write_report(result, out, Path(profile))
    say([*lead(result), *misses(result)[:5], f"report {page}"])


@twin_app.command("rehearse")
def rehearse_runbook(
    runbook: Annotated[str, typer.Argument(metavar="RUNBOOK", help="Path, or the name of a shipped one.")],
    chip: Annotated[str, typer.Option(metavar="PROFILE", help="Profile of the chip: a file, or a shipped one.")],
    draws: Annotated[int, typer.Option(metavar="N", min=2, help="How many chips are drawn; 19 or more.")] = 50,
    station: Annotated[
        str | None, typer.Option(metavar="FILE", help="Station with a mock bench [default: the runbook's].")
    ] = None,
    preset: Annotated[str, typer.Option(metavar="NAME", help="Values the runbook has under that name.")] = "",
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="ID.KEY=VALUE", help="Change a parameter of a step; repeatable."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Processes at a time [default: one per core].")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Other draws.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder [default: runs/rehearsal-<runbook>-<time>].")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave station, bench file and run of every draw.")] = False,
    quiet: QuietOption = False,
    plugin: PluginOption = None,
) -> None:
    """Carry out a runbook on many chips drawn from a profile: what it will give, cost and risk.

    \b
    xbarlab twin rehearse first_light_1t1r --chip my_chip.profile.yaml
    xbarlab twin rehearse first_light_1t1r --chip ta_hfo2_1t1r --preset quick --draws 20 -o runs/rehearsed
    """
    from ..runbooks.runner.plugin_grant import ask_on_terminal
    from .rehearsal.rehearse import rehearse
    from .rehearsal.show import show_rehearsal

    rehearsed = rehearse(
        runbook, chip=chip, draws=draws, station=station, out=out, preset=preset, overrides=changes or (), seed=seed,
        jobs=jobs, keep=keep, quiet=quiet, plugins=plugin or (), ask=ask_on_terminal,
    )  # fmt: skip
    say(show_rehearsal(rehearsed, quiet=quiet))


@twin_app.command("compare")
def compare_run(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the run.")],
    rehearsal: Annotated[Path, typer.Argument(metavar="REHEARSAL", help="Folder of the rehearsal, or its file.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="PNG", help="Figure [default: in the rehearsal's folder].")
    ] = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="Also what was not rehearsed like this.")] = False,
) -> None:
    """Put what a run measured beside what its rehearsal predicted, and say what is outside of its interval.

    \b
    xbarlab twin compare runs/chip12 runs/rehearsed
    """
    from .rehearsal.compare import compare
    from .rehearsal.show import show_comparison

    say(show_comparison(compare(run, rehearsal, anyway=anyway), rehearsal, out))


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
