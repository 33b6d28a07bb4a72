"""I–V loops of any bench: switching voltages where cells switch, and how far the loops open where they do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..estimates.estimates import UNKNOWN, Estimate, geometric_mean_estimate, mean_estimate
from ..measurements.iv_curve import COUNTED, SWITCHED, SwitchingRule, cell_grid, iv_metrics, switching_voltages
from ..measurements.variability import variability_cdfs
from ..plots.iv_family import iv_family
from .finding import Finding
from .loops import Loops, loops_of
from .pictures.iv import linear_loops

if TYPE_CHECKING:
    from ..estimates.estimates import Floats
    from ..measured_data.measured import Measured

READ_SHARE = 0.4
"""Of the lower peak: where conductances are compared, where 0.2 V is beyond that."""
NEAR_LIMIT = 0.98


def analyse_iv(measured: Measured) -> Finding:
    """Return V_SET and V_RESET with their spreads, resistances, and the opening of the loops.

    A loop that does not open by a factor of two has no switching voltage; how many those are is counted.
    """
    protocol: Any = measured.protocol
    loops = loops_of(measured)
    across = protocol.current_in != "A" and protocol.series_resistor is None
    read = protocol.read_volts if protocol.read_volts is not None else _read_volts(loops)
    rule = SwitchingRule(read_volts=read, floor=1e-9 if across else SwitchingRule.floor)
    limited = _limited(loops, protocol.compliance, protocol.negative_compliance)
    table: Any = switching_voltages(loops.volts, loops.current, compliance=limited, rule=rule)
    numbers: dict[str, Estimate | float] = dict(iv_metrics(table, floor=rule.floor))
    if across:  # no current in amperes, no ohms
        numbers = {name: value for name, value in numbers.items() if not name.startswith("r_")}
    numbers["forming_loops"] = float(table["forming"].sum())
    numbers["set_opening"] = _opening(table, "g_after_set", "g_before_set")
    numbers["reset_opening"] = _opening(table, "g_before_reset", "g_after_reset")
    remarks = _remarks(table)
    if opened := _opened_other_way(numbers["set_opening"], numbers["reset_opening"], rule.min_ratio):
        remarks.append(opened)
    numbers["loop_area_share"] = mean_estimate(_area_share(loops))
    table["cell"] = loops.cells[table["cell"].to_numpy()]
    return Finding(
        id=measured.id,
        title="I–V loops",
        text=_text(loops, read, across),
        remarks=remarks,
        numbers=numbers,
        frame=table,
        figures=_figures(loops, table, protocol, across, _names(measured, loops)),
    )


def _read_volts(loops: Loops) -> float:
    peaks = [float(np.nanmax(sign * loops.volts)) for sign in (1.0, -1.0)]
    lower = min([peak for peak in peaks if peak > LOWEST_PEAK * max(peaks)] or [max(peaks)])
    return float(f"{min(0.2, READ_SHARE * lower):.2g}")


LOWEST_PEAK = 0.1  # of the other one: less is no branch


def _limited(loops: Loops, positive: float | None, negative: float | None) -> Any:
    flags = np.zeros(loops.current.shape, np.bool_)
    for sign, amps in ((1.0, positive), (-1.0, negative)):
        if amps is not None:
            flags |= (sign * loops.volts > 0.0) & (np.abs(loops.current) >= NEAR_LIMIT * amps)
    return flags


def _opening(table: Any, more: str, less: str) -> Estimate:
    """Return the geometric mean over cells of a ratio of conductances; of one cell, over its loops."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(cell_grid(table, more, np.nan) / cell_grid(table, less, np.nan))
    ratio[~np.isfinite(ratio)] = np.nan
    seen = ratio[np.isfinite(ratio).any(axis=1)]
    if not seen.size:
        return UNKNOWN
    return geometric_mean_estimate(np.exp(np.nanmean(seen, axis=1) if len(seen) > 1 else seen[0]))


def _area_share(loops: Loops) -> Floats:
    """Return of every cell the area its mean loop encloses over that of the rectangle around it.

    Lobes that are gone round in opposite ways do not cancel: each half is taken by itself.
    """
    with np.errstate(invalid="ignore"):
        v, i = np.nanmean(loops.volts, axis=1), np.nanmean(loops.current, axis=1)
    shares: list[float] = []
    for volts, current in zip(v, i, strict=True):
        box = float(np.ptp(volts) * np.ptp(current))
        area = sum(
            abs(
                float(
                    np.trapezoid(np.where(sign * volts > 0.0, current, 0.0), np.where(sign * volts > 0.0, volts, 0.0))
                )
            )
            for sign in (1.0, -1.0)
        )
        shares.append(area / box if box > 0.0 else np.nan)
    return np.asarray(shares)


def _text(loops: Loops, read: float, across: bool) -> str:
    cells, count = loops.volts.shape[:2]
    text = f"{cells} cell{'s' if cells != 1 else ''}, {count} loop{'s' if count != 1 else ''} each. "
    if loops.averaged > 1:
        text += (
            f"A loop is the mean of {loops.averaged} periods of the trace, cut where the applied voltage rises through "
            "zero; the spread from cycle to cycle is that of such means. "
        )
    if np.any(loops.offsets != 0.0):
        unit = "V" if across else "A"
        volts, amps = (float(np.median(loops.offsets[:, k])) for k in (0, 1))
        text += "Offsets were taken off: "
        if volts:
            text += f"of the applied voltage its mean over whole periods (median {volts * 1e3:.3g} mV), "
        text += f"of the current what flows at 0 V (median {amps:.3g} {unit}). "
    text += (
        f"Conductances are compared at {read:g} V. A switching voltage is where I/V crosses the geometric mean of "
        "off and "
        "on; loops that open by less than a factor of two have none."
    )
    if across:
        text += (
            "\n\nThe current is in volts across a series resistor that is not known: conductances are relative to that "
            "resistor's, and no resistance can be given in ohms."
        )
    return text


def _remarks(table: Any) -> list[str]:
    said: list[str] = []
    for branch, column in (("SET", "set_status"), ("RESET", "reset_status")):
        status = table[column].to_numpy()
        counted = np.isin(status, COUNTED)
        if not counted.any():
            reasons = ", ".join(sorted(set(status)))
            said.append(f"no {branch} could be looked for: {reasons} in all {len(table):,} loops")
        elif not (status == SWITCHED).any():
            kinds = ", ".join(f"{(status == kind).sum():,} {kind}" for kind in COUNTED[1:] if (status == kind).any())
            said.append(f"no switching found, {branch}: of {int(counted.sum()):,} loops {kinds}")
    return said


def _opened_other_way(at_set: Estimate, at_reset: Estimate, window: float) -> str:
    """Return what to say of loops that switch off where they are expected to switch on, "" where they do not."""
    if not (at_set.value < 1.0 / window and at_reset.value < 1.0 / window):
        return ""
    return (
        f"the loops open the other way, by a factor of {1.0 / at_set.value:.3g}: cells go off at positive voltages and "
        "on at negative ones; volts are positive where they SET, so turn the signs of volts and current, or the order "
        "of the lines if they run back in time"
    )


def _names(measured: Measured, loops: Loops) -> list[str]:
    if len(measured.files) == len(loops.cells):
        return [name.split(".")[0] for name in measured.files]
    return [f"cell {cell}" for cell in loops.cells]


def _figures(loops: Loops, table: Any, protocol: Any, across: bool, names: list[str]) -> list[Any]:
    few = len(names) <= 8
    linear = linear_loops(loops.volts, loops.current, names=names, across=across)
    figures: list[Any] = [("Current against voltage: the mean loop of each cell.", linear)]
    if not across:
        limits = (protocol.compliance, protocol.negative_compliance)
        family = iv_family(
            loops.volts, loops.current, labels=names if few else None, forming=cell_grid(table, "forming", 0.0) > 0.5,
            compliance_amps=limits if any(limits) else None,
        )  # fmt: skip
        figures.append(("|Current| on a logarithmic axis, every loop.", family))
    spread = {
        label: cell_grid(table, column, np.nan)
        for label, column in (("V_SET", "v_set"), ("V_RESET", "v_reset"))
        if table[column].notna().any()
    }
    if spread:
        figures.append(("Switching voltages: within cells and between them.", variability_cdfs(spread)))
    return figures
