"""The commands ``read``, ``pulse`` and ``sweep``: one cell by hand; nothing heavy is imported before one runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .options import CellOption, HandOption, PluginOption, SeedOption, StationOption, TraceOption, say


def read(
    station: StationOption,
    cell: CellOption,
    volts: Annotated[str | None, typer.Option(metavar="V", help="Read voltage [default: the chip's].")] = None,
    average: Annotated[int, typer.Option(metavar="N", min=1, help="Conversions.")] = 16,
    seed: SeedOption = None,
    plugin: PluginOption = None,
    hand: HandOption = None,
    trace: TraceOption = None,
) -> None:
    """Read one cell: conductance with its uncertainty.

    \b
    xbarlab read --station mock_ta_hfo2 --cell 3,5
    xbarlab read --station my.station.yaml --cell 3,5 --volts 0.1 --average 64
    """
    from ...common.plugin_files import run_files
    from ..stations import open_bench
    from .by_hand import cell_text, number, read_cell

    where = cell_text(cell)
    amplitude = number("--volts", volts, "V") if volts is not None else None
    run_files(plugin or ())
    with open_bench(station, seed=seed) as bench:
        say(read_cell(bench.array, where, amplitude, average))


def pulse(
    station: StationOption,
    cell: CellOption,
    volts: Annotated[str, typer.Option(metavar="V", help="Amplitude, V(row) − V(column); positive SETs.")],
    width: Annotated[str, typer.Option(metavar="S", help="Width, like 200ns or 200e-9.")],
    gate: Annotated[str | None, typer.Option(metavar="V", help="Gate voltage; needed on a 1T1R chip.")] = None,
    count: Annotated[int, typer.Option(metavar="N", min=1, help="Number of pulses.")] = 1,
    average: Annotated[int, typer.Option(metavar="N", min=1, help="Conversions of the readings.")] = 16,
    seed: SeedOption = None,
    plugin: PluginOption = None,
    hand: HandOption = None,
    trace: TraceOption = None,
) -> None:
    """Pulse one cell and read it before and after.

    \b
    xbarlab pulse --station mock_ta_hfo2 --cell 3,5 --volts 2.5 --gate 1.6 --width 500ns
    xbarlab pulse --station mock_ta_hfo2 --cell 3,5 --volts=-1.7 --gate 5 --width 500e-9 --count 3
    """
    from ...common.plugin_files import run_files
    from ..stations import open_bench
    from .by_hand import cell_text, number, pulse_cell

    where = cell_text(cell)
    amplitude, seconds = number("--volts", volts, "V"), number("--width", width, "s")
    gate_volts = number("--gate", gate, "V") if gate is not None else None
    run_files(plugin or ())
    with open_bench(station, seed=seed) as bench:
        say(
            pulse_cell(
                bench.array, where, volts=amplitude, width=seconds, gate=gate_volts, count=count, average=average
            )
        )


def sweep(
    station: StationOption,
    cell: CellOption,
    positive: Annotated[str | None, typer.Option(metavar="V", help="Largest positive voltage.")] = None,
    negative: Annotated[str | None, typer.Option(metavar="V", help="Largest negative voltage.")] = None,
    step: Annotated[str | None, typer.Option(metavar="V", help="Voltage step.")] = None,
    dwell: Annotated[str | None, typer.Option(metavar="S", help="Time per point.")] = None,
    cycles: Annotated[int, typer.Option(metavar="N", min=1, help="Loops.")] = 1,
    compliance: Annotated[str | None, typer.Option(metavar="A", help="Largest current of the positive half.")] = None,
    reset_compliance: Annotated[str | None, typer.Option(metavar="A", help="The same of the negative half.")] = None,
    set_gate: Annotated[str | None, typer.Option(metavar="V", help="Gate voltage of the positive half.")] = None,
    reset_gate: Annotated[str | None, typer.Option(metavar="V", help="Gate voltage of the negative half.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for sweep.csv and sweep.png.")] = None,
    seed: SeedOption = None,
    plugin: PluginOption = None,
    hand: HandOption = None,
    trace: TraceOption = None,
) -> None:
    """Drive one cell through I–V loops and say where it switched. Defaults are those of the step dc_sweep.

    \b
    xbarlab sweep --station mock_ta_hfo2 --cell 3,5 --cycles 3
    xbarlab sweep --station my.station.yaml --cell 3,5 --positive 1.2 --compliance 200uA --out runs/cell_3_5
    """
    from ...common.plugin_files import run_files
    from ...protocols.measure.dc_sweep import DcSweepPlan
    from ..stations import open_bench
    from .by_hand import cell_text, number, sweep_cell

    given = {
        "positive": (positive, "V"),
        "negative": (negative, "V"),
        "step": (step, "V"),
        "dwell": (dwell, "s"),
        "compliance": (compliance, "A"),
        "reset_compliance": (reset_compliance, "A"),
        "set_gate": (set_gate, "V"),
        "reset_gate": (reset_gate, "V"),
    }
    numbers: dict[str, Any] = {
        name: number(f"--{name.replace('_', '-')}", text, unit)
        for name, (text, unit) in given.items()
        if text is not None
    }
    plan = DcSweepPlan(cells=cell_text(cell), cycles=cycles, **numbers)
    run_files(plugin or ())
    with open_bench(station, seed=seed) as bench:
        say(sweep_cell(bench.array, plan, out, seed=seed))
