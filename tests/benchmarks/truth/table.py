"""What many chips say together: coverage, widths, recall and precision, as one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.stats import binom


@dataclass(frozen=True)
class Bound:
    """How wide the median interval of a quantity may be.

    Parameters
    ----------
    most : float, optional
        nan: none is stated.
    of : how the width is taken: over the true value, or as it is [Ω].
    """

    most: float
    of: Literal["relative", "absolute"] = "relative"


BOUNDS: dict[str, Bound] = {
    "v_set_mean": Bound(0.05),
    "v_set_c2c_std": Bound(0.30),
    "v_set_d2d_std": Bound(0.30),
    "v_reset_mean": Bound(0.05),
    "v_reset_c2c_std": Bound(0.30),
    "v_reset_d2d_std": Bound(0.30),
    "retention_drift_nu": Bound(0.20),
    "read_noise_rel": Bound(0.20),
    "programming_sigma": Bound(0.10),
    "vmm_column_gain": Bound(0.01),
    "wire_ohm_per_segment": Bound(0.3, "absolute"),
    "line_contact_ohm": Bound(np.nan, "absolute"),
    "retention_drift_nu 8×8": Bound(np.nan),
    "wire_ohm_per_segment 8×8": Bound(np.nan, "absolute"),
}
"""The widths asked for; without one the width is told and not judged."""
POOLED, MANY = (0.90, 0.99), 300
"""Share of all intervals that hold, judged where there are so many."""
LEAST_STUCK, STUCK_SHARE = 500, 0.99


def numbers_by_key(lines: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return all numbers of all chips by their key."""
    out: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        for one in line["numbers"]:
            out.setdefault(one["key"], []).append(one)
    return out


def covered(one: dict[str, Any]) -> bool:
    """Return whether an interval holds the truth; one that is not there does not."""
    return bool(one["low"] <= one["true"] <= one["high"])


def least_covered(chips: int) -> int:
    """Return how many of so many chips must be covered: 34 of 40, of other numbers what is as unlikely."""
    return int(binom.ppf(binom.cdf(33, 40, 0.95), chips, 0.95)) + 1 if chips != 40 else 34


def coverage_table(lines: list[dict[str, Any]]) -> tuple[str, bool]:
    """Return the table as text (Markdown), and whether everything it judges holds."""
    rows = [
        "| quantity | chips | covered | 95 % interval, median width | bound | found over true, median | |",
        "|---|---|---|---|---|---|---|",
    ]
    good, every = True, list[bool]()
    numbers = numbers_by_key(lines)
    for key, bound in BOUNDS.items():
        mine = numbers.get(key)
        if not mine:
            continue
        true, value, low, high = (
            np.array([one[name] for one in mine], float) for name in ("true", "value", "low", "high")
        )
        inside = [covered(one) for one in mine]
        every += inside
        width = (high - low) / (np.abs(true) if bound.of == "relative" else 1.0)
        middle = float(np.median(np.nan_to_num(width, nan=np.inf)))
        fine = sum(inside) >= least_covered(len(mine)) and not middle > bound.most
        good &= fine
        unit = (lambda x: f"{100 * x:.3g} %") if bound.of == "relative" else (lambda x: f"{x:.3g} Ω")
        said = f"≤ {unit(bound.most)}" if np.isfinite(bound.most) else "none"
        rows.append(
            f"| `{key.split()[0]}`{' (8×8)' if ' ' in key else ''} | {len(mine)} | {sum(inside)} | {unit(middle)} | "
            f"{said} | {np.nanmedian(value / true):.3f} | {_said(fine)} |"
        )
    if every:
        share = float(np.mean(every))
        fine, judged = POOLED[0] <= share <= POOLED[1], len(every) >= MANY
        good &= fine or not judged
        said = _said(fine) if judged else "not judged: too few"
        rows.append(f"| all pooled | | {100 * share:.1f} % of {len(every)} | | 90 to 99 % | | {said} |")
    for text, fine in (_stuck(lines), _telegraph(lines, numbers)):
        if text:
            rows += ["", text]
            good &= fine
    return "\n".join(rows), good


def _said(fine: bool) -> str:
    return "holds" if fine else "**does not hold**"


def counts(lines: list[dict[str, Any]]) -> dict[str, int]:
    """Return the sums of all counts."""
    out: dict[str, int] = {}
    for line in lines:
        for name, value in line["counts"].items():
            out[name] = out.get(name, 0) + int(value)
    return out


def _stuck(lines: list[dict[str, Any]]) -> tuple[str, bool]:
    n = counts(lines)
    if not n.get("stuck_true"):
        return "", True
    recall, precision = n["stuck_both"] / n["stuck_true"], n["stuck_both"] / max(n["stuck_said"], 1)
    fine = min(recall, precision) >= STUCK_SHARE
    few = "" if n["stuck_true"] >= LEAST_STUCK else f" (fewer than the {LEAST_STUCK} asked for)"
    return (
        f"Stuck cells: {n['stuck_true']} of {n['stuck_cells']:,}{few}. Recall {100 * recall:.2f} %, precision "
        f"{100 * precision:.2f} %, wanted ≥ 99 %: {_said(fine)}."
    ), fine


def _telegraph(lines: list[dict[str, Any]], numbers: dict[str, list[dict[str, Any]]]) -> tuple[str, bool]:
    both = [numbers.get(key, []) for key in ("rtn_stay_low", "rtn_stay_high")]
    if not both[0]:
        return "", True
    n = counts(lines)
    ratio = np.array([[one["value"] / one["true"] for one in side] for side in both])
    near = np.abs(np.log(ratio)) <= np.log(2.0)
    inside = np.mean([covered(one) for side in both for one in side])
    # Two sums of exponential times over 15 stays each, known without error, leave a factor of two in 1 of 100.
    fine = float(near.all(axis=0).mean()) >= 0.95
    return (
        f"Telegraph noise: {n['rtn_cells']} cells with two levels and 30 or more transitions, {ratio.shape[1]} of them "
        f"with one trap ({n['rtn_more_traps']} with two, {n['rtn_no_trap']} with none). Both mean times within a "
        f"factor of two: {100 * near.all(axis=0).mean():.1f} %, wanted ≥ 95 %: "
        f"{_said(fine)}. Found over true, median: {np.nanmedian(ratio):.3f}; intervals of "
        f"single times that hold: {100 * inside:.1f} %, not judged."
    ), fine
