"""The commands ``xbarlab twin …``; nothing heavy is imported before one runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..runbooks.commands.options import PluginOption, QuietOption, say

twin_app = typer.Typer(no_args_is_help=True, help="The twin of a chip: rehearse runs on it, compare them with silicon.")


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
