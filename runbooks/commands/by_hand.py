"""One cell by hand: read it, pulse it, sweep it. Every function takes an open array and returns lines to print."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from ...analysis.quantities import format_value
from ...common.errors import RefusedError
from ...common.units import read_quantity
from ...instruments.block import Block
from ...instruments.capabilities import (
    FLAG_BELOW_NOISE,
    FLAG_COMPLIANCE,
    FLAG_OVERFLOW,
    CrossbarArray,
    PulseMap,
    Reading,
)
from ...protocols.keeping.run import claim_folder
from ...protocols.measure.dc_sweep import DcSweepPlan, DcSweepResult, dc_sweep

FLAG_WORDS = {
    FLAG_OVERFLOW: "beyond the largest range",
    FLAG_COMPLIANCE: "current limited by compliance",
    FLAG_BELOW_NOISE: "below the noise floor",
}
VERIFY_AVERAGE = 16


def number(option: str, text: str, unit: str) -> float:
    """Read ``200e-9``, ``200ns`` or ``0.2 V`` as a finite number in SI units.

    Parameters
    ----------
    option : the option it was given to, for the message.
    unit : "V", "s" or "A".
    """
    try:
        return read_quantity(text, unit)
    except RefusedError as error:
        raise RefusedError(f"{option} {text}: {error}", where=option, value=text) from error


def cell_text(text: str) -> str:
    """Refuse, without an array at hand, what cannot be one cell."""
    if re.fullmatch(r"\s*\d+\s*,\s*\d+\s*", text) is None:
        raise RefusedError(f"--cell {text} is not one cell: write row,column counted from zero, like 3,5")
    return text.strip()


def read_cell(array: CrossbarArray, cell: str, volts: float | None, average: int) -> list[str]:
    """Read one cell ``average`` times and return its conductance with the standard error."""
    block = Block.parse(cell, array.spec)
    reading = array.read(block, volts, average=average)
    return [f"cell ({block.row0}, {block.col0}) at {reading.volts:g} V: {describe_reading(reading)}"]


def describe_reading(reading: Reading) -> str:
    """Return conductance ± standard error, resistance, current and what was flagged, for a block of one cell."""
    current, g, stderr = (float(plane[0, 0]) for plane in (reading.current, reading.conductance, reading.stderr))
    resistance = format_value(1.0 / g, "Ω", 3) if g > 0.0 else "–"
    flags = [words for bit, words in FLAG_WORDS.items() if int(reading.flags[0, 0]) & bit]
    text = f"G = {with_error(g, stderr)}, R = {resistance}, I = {format_value(current, 'A')}"
    return f"{text} [{'; '.join(flags)}]" if flags else text


def with_error(g: float, stderr: float) -> str:
    """Write a conductance [S] and its standard error in µS, to the error's second digit."""
    if not (math.isfinite(stderr) and stderr > 0.0):
        return f"{g * 1e6:.4g} µS"
    decimals = max(0, 1 - math.floor(math.log10(stderr * 1e6)))
    return f"({g * 1e6:.{decimals}f} ± {stderr * 1e6:.{decimals}f}) µS"


def pulse_cell(
    array: CrossbarArray, cell: str, *, volts: float, width: float, gate: float | None, count: int, average: int
) -> list[str]:
    """Read, pulse and read again one cell; return what was delivered after quantisation and what changed."""
    block = Block.parse(cell, array.spec)
    if gate is None and array.spec.gate_axis is not None:
        raise RefusedError(
            "--gate is missing: on a 1T1R chip it limits the current, and at 0 V no pulse reaches the cell"
        )
    gate = gate or 0.0
    pulses = PulseMap(block=block, volts=volts, width=width, gate=gate, count=count)
    limits = array.spec.limits
    where = f"cell ({block.row0}, {block.col0})"
    limits.check("pulse_volts", volts, channel=where)
    limits.check("width", width, channel=where, unit="s")
    limits.check("gate", gate, channel=f"{where} gate")
    limits.check("count", count, channel=where, unit="pulses")
    before = array.read(block, average=average)
    given = array.pulse(pulses)
    after = array.read(block, average=average)
    seconds = format_value(float(given.width[0, 0]), "s")
    train = f"{int(given.count[0, 0])} × {float(given.volts[0, 0]):.4f} V for {seconds}"
    gated = array.spec.gate_axis is not None
    commanded = f"{train} at gate {float(given.gate[0, 0]):.4f} V" if gated else train
    g0, g1 = float(before.conductance[0, 0]), float(after.conductance[0, 0])
    noise = math.hypot(float(before.stderr[0, 0]), float(after.stderr[0, 0]))
    change = f"{(g1 - g0) * 1e6:+.3g} µS".replace("-", "−")
    seen = "" if not math.isfinite(noise) or abs(g1 - g0) > 2 * noise else " (within the reading's uncertainty)"
    return [
        f"{where} before:    {describe_reading(before)}",
        f"{where} delivered: {commanded}; {_counted(given.pulses, 'pulse')} in {_counted(given.slots, 'slot')}",
        f"{where} after:     {describe_reading(after)}",
        f"{where} change:    {change}{seen}",
    ]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def sweep_cell(array: CrossbarArray, plan: DcSweepPlan, out: Path | None, *, seed: int | None = None) -> list[str]:
    """Sweep one cell and return V_SET and V_RESET of every loop; ``out`` receives ``sweep.csv`` and ``sweep.png``.

    The table has a line per point, units in the names of its columns, and the settings in columns of their own: gate,
    dwell, compliance, and the ``seed`` that was asked for.
    """
    plan.check(array.spec)
    if Block.parse(plan.cells, array.spec).size != 1:
        raise RefusedError(f"cells {plan.cells!r} are several: a sweep by hand takes one, like 3,5")
    if out is not None:
        claim_folder(out)
    result = dc_sweep(array, plan)
    lines = _switching_lines(result)
    if out is not None:
        table = result.frame
        back = table["point"].to_numpy() >= len(plan.loop[0])
        compliance, reset_compliance = plan.compliances(array.spec)
        limits = np.where(back, reset_compliance, compliance)
        table = table.assign(dwell_s=plan.dwell, compliance_A=limits)
        if seed is not None:
            table = table.assign(seed=seed)
        table.to_csv(out / "sweep.csv", index=False)
        result.plot().savefig(out / "sweep.png", dpi=150)
        lines.append(f"saved {out / 'sweep.csv'} and {out / 'sweep.png'}")
    return lines


def _switching_lines(result: DcSweepResult) -> list[str]:
    row, col = result.cells[0]
    lines: list[str] = []
    loops: list[dict[str, Any]] = result.switching.to_dict("records")  # pyright: ignore[reportAssignmentType]
    for loop in loops:
        found = ", ".join(
            f"{name} {format_value(float(loop[column]), 'V')}"
            if math.isfinite(float(loop[column]))
            else f"{name} not found ({loop[status]})"
            for name, column, status in (("V_SET", "v_set", "set_status"), ("V_RESET", "v_reset", "reset_status"))
        )
        formed = "; it formed the cell" if loop["forming"] else ""
        lines.append(f"cell ({row}, {col}) loop {int(loop['cycle']) + 1}: {found}{formed}")
    return lines
