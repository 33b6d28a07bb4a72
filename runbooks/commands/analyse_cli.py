"""The command ``xbarlab analyse``: your own data; nothing heavy is imported before it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .options import QuietOption, say, warn

Column = "COL[:UNIT]"


def analyse(
    subject: Annotated[
        Literal["iv", "pulses", "retention", "endurance", "noise", "levels", "forming", "verify", "map"],
        typer.Argument(
            metavar="ANALYSIS", help="iv, pulses, retention, endurance, noise, levels, forming, verify or map."
        ),
    ],
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE…",
            help="Data: CSV, TSV, other text (also .gz), Parquet, HDF5, netCDF, QCoDeS .db; or data descriptions, or "
            "run folders. Without any, what the analysis needs is printed.",
        ),
    ] = None,
    volts: Annotated[
        str | None, typer.Option(metavar=Column, help="Column of voltages, positive where they SET.")
    ] = None,
    amps: Annotated[str | None, typer.Option(metavar=Column, help="Column of currents.")] = None,
    ohms: Annotated[str | None, typer.Option(metavar=Column, help="Column of resistances.")] = None,
    siemens: Annotated[str | None, typer.Option(metavar=Column, help="Column of conductances.")] = None,
    time: Annotated[str | None, typer.Option(metavar=Column, help="Column of times.")] = None,
    temperature: Annotated[
        str | None, typer.Option(metavar=Column, help="Column of temperatures, or '=80 °C'.")
    ] = None,
    width: Annotated[str | None, typer.Option(metavar=Column, help="Column of pulse widths, or '=200 ns'.")] = None,
    gate: Annotated[str | None, typer.Option(metavar=Column, help="Column of gate voltages.")] = None,
    cell: Annotated[str | None, typer.Option(metavar="COL", help="Column that says which cell it is.")] = None,
    row: Annotated[str | None, typer.Option(metavar="COL", help="Column of the row.")] = None,
    col: Annotated[str | None, typer.Option(metavar="COL", help="Column of the column.")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=COL[:UNIT]", help="Any other column: before, after, low, high, cycle, …; repeatable."
        ),
    ] = None,
    read_volts: Annotated[str | None, typer.Option(metavar="V", help="At which conductances are compared.")] = None,
    rate: Annotated[str | None, typer.Option(metavar="HZ", help="Samples per second, of noise.")] = None,
    period: Annotated[str | None, typer.Option(metavar="S", help="Of one loop, where a trace holds many.")] = None,
    polarity: Annotated[str | None, typer.Option(metavar="set|reset", help="What single pulses do.")] = None,
    formed_above: Annotated[
        str | None, typer.Option(metavar="S", help="Of forming: a cell that reads above this is formed, like 20uS.")
    ] = None,
    floor: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Of noise: the same samples with no voltage at the cells; it is taken off."),
    ] = None,
    extrapolate_to: Annotated[
        str | None, typer.Option(metavar="S", help="Of retention: age for which the change is predicted [10 years].")
    ] = None,
    plausible: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=LEAST,MOST",
            help="Where conductance or volts lie, of cells that are not like most: conductance=1nS,1mS.",
        ),
    ] = None,
    description: Annotated[
        str | None, typer.Option(metavar="FILE", help="Data description of the FILEs: a file, or a shipped one.")
    ] = None,
    folder: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the data of descriptions are.")] = None,
    only: Annotated[str, typer.Option(metavar="IDS", help="Measurements of a description, with commas.")] = "",
    separator: Annotated[str | None, typer.Option(help="Of text [default: by the name: , or tab].")] = None,
    decimal: Annotated[Literal[".", ","], typer.Option(help="Decimal mark of text.")] = ".",
    skip: Annotated[int, typer.Option(metavar="N", min=0, help="Lines above the header.")] = 0,
    no_header: Annotated[
        bool, typer.Option("--no-header", help="Columns have no names: give positions, from 1.")
    ] = False,
    dataset: Annotated[
        str | None, typer.Option(metavar="ID", help="Of a database or HDF5 file that holds several.")
    ] = None,
    missing: Annotated[
        Literal["refuse", "drop"], typer.Option(help="Lines without a number: drop leaves them out.")
    ] = ("refuse"),
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder of the report, a new one [default: runs/analysis-<time>]."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON, and nothing else.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Analyse your own data like a run's: numbers with intervals, figures, tables and a report.

    Name the columns, with units where the header has none, or describe the files once (docs/own-data.md).

    \b
    xbarlab analyse iv sweeps.csv --volts "U (V)" --amps "I (uA)" --cell device
    xbarlab analyse iv dev1.csv dev2.csv --volts V --amps I:mA           a cell in each file
    xbarlab analyse endurance cycles.csv --column hrs="Roff (ohm)" --column lrs="Ron (ohm)"
    xbarlab analyse retention bake.csv --column before=R0 --column after=R1 --time "=1800 s" --temperature "=80 °C"
    xbarlab analyse noise trace.csv --amps I --read-volts 0.2V --rate 400Hz --floor at_0V.csv
    xbarlab analyse forming chip7.data.yaml                              as a description says
    xbarlab analyse verify hfo2_1t1r --folder downloads                  a shipped description of public data
    xbarlab analyse noise runs/chip12                                    the traces of a run
    xbarlab analyse iv                                                   what it needs

    The report is in DIR/report.html, the numbers in summary.json, figures as PNG, tables as CSV.
    """
    from .analyse import Asked, analyse_files, explain, plausible_of

    if not files:
        say(explain(subject))
        return
    named = {
        "volts": volts, "amps": amps, "ohms": ohms, "siemens": siemens, "time": time, "temperature": temperature,
        "width": width, "gate": gate, "cell": cell, "row": row, "col": col,
    }  # fmt: skip
    numbers = {"read_volts": read_volts, "rate": rate, "period": period, "polarity": polarity,
               "formed_above": formed_above, "extrapolate_to": extrapolate_to}  # fmt: skip
    asked = Asked(
        subject=subject,
        files=tuple(files),
        columns={name: text for name, text in named.items() if text is not None},
        others=tuple(column or ()),
        numbers={name: text for name, text in numbers.items() if text is not None},
        description=description,
        folder=folder,
        only=tuple(name.strip() for name in only.split(",") if name.strip()),
        text={"separator": separator, "decimal": decimal, "skip": skip, "header": not no_header, "missing": missing,
              "dataset": dataset, "floor": floor, "plausible": plausible_of(plausible or ())},
    )  # fmt: skip
    lines, notes = analyse_files(asked, out, as_json=as_json)
    for line in notes:
        warn(line)
    say([] if quiet else lines)
