"""The command line: the composition root, the only place that knows every room.

Nothing heavy is imported before a command runs, so that ``xbarlab --help`` answers at once.
"""

from __future__ import annotations

import logging
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .runbooks.commands.analyse_cli import analyse
from .runbooks.commands.by_hand_cli import pulse, read, sweep
from .runbooks.commands.kept_cli import export, report
from .runbooks.commands.options import CheckOption, HandOption, PluginOption, QuietOption, SeedOption, TraceOption, say
from .runbooks.commands.output import forgiving_output
from .runbooks.commands.station.cli import station_app
from .runbooks.runner.ending import INTERRUPTED, answer, interrupts_caught
from .twin.commands import twin_app

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DEMO_SEED = 1

app = typer.Typer(
    name="xbarlab",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
mock_app = typer.Typer(no_args_is_help=True, help="Simulated instruments for other programs.")
chip_app = typer.Typer(no_args_is_help=True, help="What chips have borne over their lives.")
app.add_typer(station_app, name="station")
app.add_typer(mock_app, name="mock")
trace_app = typer.Typer(no_args_is_help=True, help="What --trace has written.")
app.add_typer(chip_app, name="chip")
app.add_typer(trace_app, name="trace")
app.add_typer(twin_app, name="twin")


@app.callback()
def _root(  # pyright: ignore[reportUnusedFunction]
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere.")] = False,
) -> None:
    """Control, measure and program memristor crossbar chips, on a bench or on its mock.

    \b
    xbarlab demo                                        rehearse a first day on two mock benches
    xbarlab list                                        what is shipped: runbooks, stations, profiles, steps
    xbarlab run first_light_1t1r --dry-run              what it would do; sends nothing that acts
    xbarlab run first_light_1t1r --station my.yaml      the same runbook on your bench
    xbarlab resume runs/chip12                          go on with a run that was cut
    xbarlab station check my.yaml                       is the bench fit to touch a chip?
    xbarlab analyse iv sweeps.csv --volts V --amps I    the same figures from your own data

    Exit codes: 0 done, 1 an expectation failed under --check, 2 bad input, 3 instrument fault, 130 interrupted,
    70 a defect of xbarlab itself (please report it).
    """
    del debug  # read in main(), which sees it anywhere on the line


@app.command()
def demo(
    out: Annotated[Path | None, typer.Option(help="Folder for the results [default: runs/demo-<time>].")] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Another chip, other targets.")] = DEMO_SEED,
    check: CheckOption = False,
    quiet: QuietOption = False,
    trace: TraceOption = None,
) -> None:
    """Rehearse a first day on two mock benches: an array board with a 128×64 chip, a probe station with an 8×8 one.

    \b
    xbarlab demo
    xbarlab demo --seed 7 --out runs/chip7
    """
    from .runbooks.commands.demo import run_demo

    outcomes = run_demo(out, seed=seed, check=check, quiet=quiet)
    raise typer.Exit(max(outcome.exit_code for outcome in outcomes))


@app.command()
def run(
    runbook: Annotated[str, typer.Argument(metavar="RUNBOOK", help="Path, or the name of a shipped one.")],
    station: Annotated[
        str | None, typer.Option(metavar="FILE", help="Station file or shipped station [default: the runbook's].")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the results [default: runs/<runbook>-<time>].")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="ID.KEY=VALUE", help="Change a parameter of a step; repeatable."),
    ] = None,
    preset: Annotated[
        str, typer.Option(metavar="NAME", help="Values the runbook has under that name, like quick; --set goes on top.")
    ] = "",
    seed: SeedOption = None,
    check: CheckOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print cells, volts, pulses and bench time; send nothing that acts.")
    ] = False,
    new_chip: Annotated[
        bool, typer.Option("--new-chip", help="Set a simulated chip that lives in a state file aside; begin a new one.")
    ] = False,
    quiet: QuietOption = False,
    plugin: PluginOption = None,
    hand: HandOption = None,
    trace: TraceOption = None,
) -> None:
    """Carry out a runbook.

    \b
    xbarlab run first_light_1t1r --dry-run
    xbarlab run first_light_1t1r --preset quick
    xbarlab run first_light_1t1r --station my.station.yaml --out runs/chip12
    xbarlab run first_light_1t1r --set form.stop_volts=3.0 --set iv.cells=0:4,0:4 --seed 3 --check
    """
    from .runbooks.runner.plugin_grant import ask_on_terminal
    from .runbooks.runner.runner import run_runbook

    outcome = run_runbook(
        runbook,
        station=station,
        out=out,
        seed=seed,
        check=check,
        dry_run=dry_run,
        preset=preset,
        overrides=changes or (),
        new_chip=new_chip,
        quiet=quiet,
        plugins=plugin or (),
        ask=ask_on_terminal,
    )
    raise typer.Exit(outcome.exit_code)


@app.command()
def resume(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a run that ended early.")],
    station: Annotated[
        str | None, typer.Option(metavar="FILE", help="Where the station file is now [default: where it was].")
    ] = None,
    repeat: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Do a step again from its beginning; repeatable.")
    ] = None,
    check: CheckOption = False,
    quiet: QuietOption = False,
    plugin: PluginOption = None,
    hand: HandOption = None,
    trace: TraceOption = None,
) -> None:
    """Go on with a run that was killed, interrupted or failed: same runbook, same chip, without what is done.

    \b
    xbarlab resume runs/chip12
    xbarlab resume runs/chip12 --station moved.station.yaml
    """
    from .runbooks.runner.plugin_grant import ask_on_terminal
    from .runbooks.runner.resume import resume_run

    outcome = resume_run(
        directory, station=station, repeat=repeat or (), check=check, quiet=quiet, plugins=plugin or (),
        ask=ask_on_terminal,
    )  # fmt: skip
    raise typer.Exit(outcome.exit_code)


for command in (read, pulse, sweep, analyse):
    app.command()(command)


@chip_app.command("show")
def show_chip_wear(
    chip: Annotated[str, typer.Argument(metavar="CHIP|STATION", help="Id of a chip, or the station it is on.")],
    out: Annotated[Path | None, typer.Option(metavar="PNG", help="Draw the pulses there, stress beside it.")] = None,
) -> None:
    """Print what a chip has borne: pulses, SET/RESET cycles, largest stress, and what is left of its wear budget.

    \b
    xbarlab chip show W12-C3
    xbarlab chip show my.station.yaml --out wear.png
    """
    from .runbooks.runner.chip_wear import show_chip

    say(show_chip(chip, out))


@chip_app.command("list")
def list_chip_wear() -> None:
    """List the chips in your wear ledger, the one used last first.

    \b
    xbarlab chip list
    """
    from .runbooks.runner.chip_wear import list_chips

    say(list_chips())


@trace_app.command("show")
def show_trace(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What --trace has written.")],
    instrument: Annotated[
        str | None, typer.Option("--instrument", metavar="NAME", help="Of this instrument only.")
    ] = None,
) -> None:
    """Show a wire log: every message with its time; > sent, < received, ! what went wrong, * opened or cleared.

    \b
    xbarlab run first_light_1t1r --trace wire.log
    xbarlab trace show wire.log --instrument board
    """
    from .runbooks.commands.trace_show import trace_lines

    say(trace_lines(file, instrument=instrument))


@mock_app.command("serve")
def serve_mock(
    bench: Annotated[str, typer.Argument(metavar="BENCH", help="Bench file, or the name of a shipped one.")],
    host: Annotated[str, typer.Option(help="Address to listen on; only this computer by default.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="First port [default: the bench file's].")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", min=0, help="Chip seed instead of the bench file's.")] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="XBARLAB_MOCK_TOKEN",
            help="What clients have to show first [default: none on loopback, elsewhere one that is printed].",
        ),
    ] = None,
    rate: Annotated[
        float, typer.Option(min=0.0, max=1e9, help="Simulated seconds that a second on the wall moves what runs.")
    ] = 1.0,
    plugin: PluginOption = None,
) -> None:
    """Serve a bench's instruments on TCP sockets until Ctrl-C.

    Where other computers can reach it, a client's first line must be XBAR:TOKEN <token>.

    \b
    xbarlab mock serve mock_ta_hfo2
    xbarlab mock serve my.bench.yaml --port 5025
    """
    from .common.plugin_files import run_files
    from .runbooks.commands.mock_serve import serve_bench

    run_files(plugin or ())
    serve_bench(bench, host=host, port=port, seed=seed, token=token or None, rate=rate)


@mock_app.command("connect")
def connect_device(
    bench: Annotated[str, typer.Argument(metavar="BENCH", help="Bench file, or the name of a shipped one.")],
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="Name of a device in the bench file.")],
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port [default: the bench file's].")] = None,
    host: Annotated[str, typer.Option(help="Where the bench is served.")] = "127.0.0.1",
    token: Annotated[
        str | None, typer.Option(envvar="XBARLAB_MOCK_TOKEN", help="What the served bench wants to see first.")
    ] = None,
) -> None:
    """Put the probes of a served bench without a matrix on a device, as a person would.

    \b
    xbarlab mock connect mock_single_2400 A2
    xbarlab run first_cell --station my.station.yaml --hand "xbarlab mock connect mock_single_2400"
    """
    from .runbooks.commands.mock_serve import connect_probes

    connect_probes(bench, device, host=host, port=port, token=token or None)


for command in (report, export):
    app.command()(command)


@app.command()
def schema(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="station, bench, chip, runbook or data.")],
    plugin: PluginOption = None,
) -> None:
    """Write the JSON Schema of a kind of file, with which an editor completes and checks it.

    \b
    xbarlab schema station > station.schema.json
    xbarlab schema runbook --plugin my_steps.py > runbook.schema.json
    """
    from .common.plugin_files import run_files
    from .runbooks.commands.schemas import schema

    run_files(plugin or ())
    say(schema(kind))


@app.command("list")
def list_shipped(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND]",
            help="runbooks, stations, profiles, data, steps, instruments, rules, models or analyses; all by default.",
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="With the parameters of every step, which imports it.")
    ] = False,
    plugin: PluginOption = None,
) -> None:
    """List shipped runbooks, stations and profiles, and what anybody offers by name, without importing it.

    \b
    xbarlab list
    xbarlab list steps --verbose
    """
    from .common.plugin_files import run_files
    from .runbooks.commands.listing import listing, refuse_taken_twice

    run_files(plugin or ())
    say(listing(what, verbose=verbose))
    refuse_taken_twice()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; bad input is one sentence on stderr, never a traceback."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    with forgiving_output() as out:
        code = _main(arguments, last=argv is None)
        out.flush()
        if out.failure is None or isinstance(out.failure, BrokenPipeError):
            return code
        print(f"xbarlab: standard output cannot be written ({out.failure.strerror})", file=sys.stderr)
        # A run has left everything in its folder; what only prints has failed.
        return code or (0 if arguments[:1] in (["run"], ["resume"], ["demo"]) else 2)


@cache
def _command() -> Callable[..., Any]:
    return typer.main.get_command(app)


def _main(arguments: list[str], *, last: bool) -> int:
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # pyright: ignore[reportAttributeAccessIssue]  # Ω on a cp1252 console
    if arguments == ["--version"]:
        from . import __version__

        print(f"xbarlab {__version__}")
        return 0
    if not debug:
        # QCoDeS logs the traceback of everything that ends a measurement, Ctrl-C included; our own sentence says it.
        logging.getLogger("qcodes").addHandler(logging.NullHandler())
    from .common import plugins
    from .common.errors import require_home

    with interrupts_caught(last=last), plugins.scope():
        try:
            if arguments[:1] not in ([], ["list"]) and "--help" not in arguments:
                require_home()
            code = int(_command()(arguments, prog_name="xbarlab", standalone_mode=False) or 0)
            return answer(KeyboardInterrupt()) if code == INTERRUPTED else code  # typer turns Ctrl-C into this code
        except BaseException as error:
            return answer(error, debug=debug)


if __name__ == "__main__":
    sys.exit(main())
