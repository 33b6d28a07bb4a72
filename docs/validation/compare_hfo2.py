"""Draw the ``hfo2_1t1r`` profile against the measurements it was fitted on, and print the errors.

Run from anywhere: ``python docs/validation/compare_hfo2.py``. Needs the public RADAR data
(doi 10.1109/TED.2021.3097975) in ``../shared/measured/hfo2_1t1r`` beside the repository; the data are not
part of it. Writes ``docs/figures/hfo2_1t1r_vs_measured.png``.

Every measured sweep is repeated on a cell of the model that starts from the same conductance, takes the same
pulses and stops by the same rule. 50 devices × 10 sweeps on both sides.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from xbarlab.mockhw.chip.profile import load_profile, make_model
from xbarlab.mockhw.device_models.filament.model import FilamentModel

Floats = NDArray[np.float64]

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "measured" / "hfo2_1t1r"
FIGURE = ROOT / "docs" / "figures" / "hfo2_1t1r_vs_measured.png"
WIDTH = 200e-9
DEVICES, REPEATS = 50, 10
# Cycling: volts, gate [V], time [s], width [s]. The source states none; chosen to meet the two medians.
CYCLE_RESET = (-3.0, 4.0, 0.0, 10e-6)
CYCLE_SET = (2.0, 2.3, 0.0, WIDTH)
MEASURED, MODEL = "#1b4965", "#e07a1f"


@dataclass(frozen=True)
class Sweep:
    """Conductance [S] after each pulse, (device, repeat, voltage), NaN where the sweep had stopped."""

    volts: Floats
    start: Floats
    after: Floats


def measured_sweep(name: str, swept: str) -> Sweep:
    """Read one of the three pulse sweeps."""
    frame = pd.read_csv(DATA / f"{name}.csv.gz")
    number = ((frame[swept] < frame[swept].shift()) | (frame.address != frame.address.shift())).cumsum() - 1
    step = (frame[swept] / 0.05).round().astype(int)
    after = np.full((DEVICES * REPEATS, step.max() + 1), np.nan)
    after[number, step] = 1.0 / frame.r_after_ohm
    start = (1.0 / frame.groupby(number).r_before_ohm.first()).to_numpy()
    order = frame.groupby(number).address.first().to_numpy().argsort(kind="stable")
    shape = (DEVICES, REPEATS)
    return Sweep(np.arange(after.shape[1]) * 0.05, start[order].reshape(shape), after[order].reshape(*shape, -1))


def fresh_model(cells: int, seed: int) -> FilamentModel:
    """Make cells of the profile without regional offsets and stuck cells (one region was measured)."""
    profile = load_profile("hfo2_1t1r")
    model = make_model(profile, cells, seed)
    assert isinstance(model, FilamentModel)
    parameters = model.parameters.model_copy(
        update={
            "device_spread": _with(model.parameters.device_spread, block_Vt=0.0, block_ln_Rs=0.0),
            "stuck": _with(model.parameters.stuck, open_fraction=0.0, on_fraction=0.0, short_fraction=0.0),
        }
    )
    return FilamentModel(parameters, cells, seed)


def _with(section: object, **values: float) -> object:
    from pydantic import BaseModel

    from xbarlab.mockhw.device_models.quantity import Quantity

    assert isinstance(section, BaseModel)
    new = {
        key: Quantity(v, getattr(section, key).unit, "switched off for this comparison") for key, v in values.items()
    }
    return section.model_copy(update=new)


def pulse(
    model: FilamentModel, cells: NDArray[np.int64], volts: float, gate: float, now: float, width: float = WIDTH
) -> None:
    """Give each of ``cells`` one pulse."""
    one = np.ones(len(cells))
    model.pulse(cells, volts * one, width * one, gate * one, np.ones(len(cells), np.int64), 0.0 * one, now)


def read(model: FilamentModel, cells: NDArray[np.int64], now: float) -> Floats:
    """Read once, noise included."""
    g = model.conductance(cells, 0.2, 3.0, now)
    return g + model.noise(cells, g, 1, now)


def simulated_sweep(like: Sweep, kind: str, seed: int) -> Sweep:
    """Repeat a measured sweep on the model: kind "set" (BL), "reset_sl" or "reset_wl"."""
    bound = stop_bound(like, kind)
    model = fresh_model(DEVICES, seed)
    cells = np.arange(DEVICES)
    after = np.full(like.after.shape, np.nan)
    now = 0.0
    for repeat in range(REPEATS):
        # RESET, then the SET that leads to about 166 µS (it fixes the memory), then the measured start exactly.
        model.assume_formed(100e-6, now)
        pulse(model, cells, -2.8, 3.0, now)
        pulse(model, cells, 2.0, 2.17, now)
        model.assume_formed(like.start[:, repeat], now)
        alive = cells.copy()
        for k, v in enumerate(like.volts):
            if not len(alive):
                break
            volts, gate = {"set": (v, 3.0), "reset_sl": (-v, 3.5), "reset_wl": (-2.8, v)}[kind]
            if volts:
                pulse(model, alive, volts, gate, now)
            now += 1e-3
            g = read(model, alive, now)
            after[alive, repeat, k] = g
            alive = alive[g < bound] if kind == "set" else alive[g > bound]
    return Sweep(like.volts, like.start, after)


def stop_bound(sweep: Sweep, kind: str) -> float:
    """Return the conductance [S] beyond which the measured sweeps stopped: median of the last readings."""
    finite = np.isfinite(sweep.after)
    last = finite.shape[2] - 1 - finite[:, :, ::-1].argmax(axis=2)
    stopped = last < finite.shape[2] - 1
    ends = np.take_along_axis(sweep.after, last[..., None], axis=2)[..., 0][stopped]
    return float(np.quantile(ends, 0.05 if kind == "set" else 0.95))


def robust(values: Floats, axis: int | None = None) -> Floats:
    """Return the standard deviation a normal law with this interquartile range would have."""
    low, high = np.nanpercentile(values, [25, 75], axis=axis)
    return (high - low) / 1.349


def forming(seed: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Return measured and simulated forming voltage [V] and conductance after it [S]."""
    frame = pd.read_csv(DATA / "forming.csv.gz")
    frame = frame[(frame.wl_volts - 2.0).abs() < 0.01]
    model = fresh_model(len(frame), seed)
    cells = np.arange(len(frame))
    volts = np.full(len(frame), np.nan)
    g = np.full(len(frame), np.nan)
    for v in np.arange(2.0, 4.2, 0.05):
        # Pulse width of the source is not stated; 1 µs is the profile's reference width.
        open_cells = cells[np.isnan(volts)]
        one = np.ones(len(open_cells))
        model.pulse(open_cells, v * one, 1e-6 * one, 2.0 * one, np.ones(len(open_cells), np.int64), 0.0 * one, 0.0)
        formed = open_cells[model.truth()["formed"][open_cells].astype(bool)]
        volts[formed] = v
        g[formed] = read(model, formed, 0.0)
    return frame.bl_volts.to_numpy(), volts, 1.0 / frame.r_after_ohm.to_numpy(), g


def cycling(seed: int) -> tuple[Floats, Floats]:
    """Return measured and simulated conductance [S], (cell, cycle, 0 after RESET | 1 after SET).

    The source does not state the voltages; the model's are chosen to meet the two medians.
    """
    raw = pd.read_csv(DATA / "cycling_wide.tsv.gz", sep="\t", header=None).to_numpy()[:, 1:]
    measured = 1.0 / raw.reshape(len(raw), -1, 2)
    model = fresh_model(len(raw), seed)
    model.assume_formed(200e-6)
    cells = np.arange(len(raw))
    simulated = np.empty_like(measured)
    for cycle in range(measured.shape[1]):
        pulse(model, cells, *CYCLE_RESET)
        simulated[:, cycle, 0] = read(model, cells, 0.0)
        pulse(model, cells, *CYCLE_SET)
        simulated[:, cycle, 1] = read(model, cells, 0.0)
    return measured, simulated


def main() -> int:
    """Draw the figure and print the table."""
    if not DATA.is_dir():
        print(f"measured data not found at {DATA}", file=sys.stderr)
        return 2
    rows: list[tuple[str, float, float, str]] = []
    figure, axes = plt.subplots(2, 3, figsize=(13.5, 7.6), constrained_layout=True)
    panels = [
        ("set_bl_sweep_200ns", "bl_volts", "set", "SET, word line 3 V", "bit line [V]", (0.4, 1.6)),
        ("reset_sl_sweep_200ns", "sl_volts", "reset_sl", "RESET, word line 3.5 V", "source line [V]", (0.4, 1.6)),
        ("reset_wl_sweep_200ns", "wl_volts", "reset_wl", "RESET, source line 2.8 V", "word line [V]", (2.0, 3.2)),
    ]
    spreads: list[tuple[str, Sweep, Sweep]] = []
    for ax, (name, swept, kind, title, label, limits) in zip(axes[0], panels, strict=True):
        real = measured_sweep(name, swept)
        model = simulated_sweep(real, kind, seed=1)
        spreads.append((kind, real, model))
        draw_sweep(ax, real, model, limits, title, label)
        rows += sweep_rows(kind, real, model)
    draw_forming(axes[1, 0], rows)
    draw_cycling(axes[1, 1], rows)
    draw_spread(axes[1, 2], spreads)
    figure.suptitle(
        "Profile hfo2_1t1r against the measurements it was fitted on "
        "(200 ns pulses; 50 devices × 10 sweeps; forming 8,184 cells; cycling 100 cells × 300)",
        fontsize=12,
    )
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(FIGURE, dpi=105, pil_kwargs={"optimize": True})
    print(f"{'quantity':<42}{'measured':>12}{'model':>12}   unit")
    for text, real_value, model_value, unit in rows:
        print(f"{text:<42}{real_value:>12.3g}{model_value:>12.3g}   {unit}")
    print(f"figure: {FIGURE.relative_to(ROOT)}, {FIGURE.stat().st_size / 1e3:.0f} kB")
    return 0


def draw_sweep(ax: Axes, real: Sweep, model: Sweep, limits: tuple[float, float], title: str, label: str) -> None:
    """Draw medians and quartiles of a pulse sweep, where at least half of the measured sweeps still run."""
    for sweep, colour, name, style in ((real, MEASURED, "measured", "o"), (model, MODEL, "model", "-")):
        flat = sweep.after.reshape(-1, sweep.after.shape[2]) * 1e6
        use = (
            (np.isfinite(flat).sum(axis=0) >= 0.5 * len(flat)) & (sweep.volts >= limits[0]) & (sweep.volts <= limits[1])
        )
        low, mid, high = np.nanpercentile(flat[:, use], [25, 50, 75], axis=0)
        ax.fill_between(sweep.volts[use], low, high, color=colour, alpha=0.22, lw=0)
        ax.plot(sweep.volts[use], mid, style, color=colour, ms=4, lw=2, label=f"{name}: median, quartiles")
    ax.set(title=title, xlabel=label, ylabel="G after the pulse [µS]", xlim=limits)
    if np.nanmedian(real.after) < 150e-6:
        ax.set_yscale("log")
        ax.set_yticks([10, 20, 50, 100, 200], labels=["10", "20", "50", "100", "200"])
        ax.minorticks_off()
    ax.grid(alpha=0.25)
    ax.legend(frameon=False, fontsize=9)


def sweep_rows(kind: str, real: Sweep, model: Sweep) -> list[tuple[str, float, float, str]]:
    """Return the table rows of one sweep."""
    points = {
        "set": ("SET BL", (0.8, 1.0, 1.2, 1.5)),
        "reset_sl": ("RESET SL", (0.8, 0.9, 1.0, 1.2, 1.5)),
        "reset_wl": ("RESET WL", (2.35, 2.45, 2.65, 2.95)),
    }
    text, volts = points[kind]
    rows: list[tuple[str, float, float, str]] = []
    for v in volts:
        k = round(v / 0.05)
        pair = [float(np.nanmedian(s.after[:, :, k])) * 1e6 for s in (real, model)]
        rows.append((f"{text} {v:g} V, median G", pair[0], pair[1], "uS"))
    if kind == "reset_sl":
        k = round(1.2 / 0.05)
        logs = [np.log(s.after[:, :, k]) for s in (real, model)]
        rows.append(("RESET SL 1.2 V, d2d sd ln G", *(float(np.nanstd(np.nanmean(x, axis=1))) for x in logs), "1"))
        rows.append(("RESET SL 1.2 V, c2c sd ln G", *(float(np.nanmean(np.nanstd(x, axis=1))) for x in logs), "1"))
    return rows


def draw_forming(ax: Axes, rows: list[tuple[str, float, float, str]]) -> None:
    """Draw the forming voltages and, inset, the conductance right after."""
    v_real, v_model, g_real, g_model = forming(seed=2)
    for v, colour, name in ((v_real, MEASURED, "measured"), (v_model, MODEL, "model")):
        ax.hist(
            v, np.arange(2.225, 4.0, 0.05), density=True, histtype="stepfilled", color=colour, alpha=0.35, label=name
        )
    ax.set(
        title="Forming, word line 2 V (model: 1 µs pulses)",
        xlabel="bit line [V]",
        ylabel="density [1/V]",
        xlim=(2.2, 4),
    )
    ax.legend(frameon=False, fontsize=9, loc="upper right")
    inset = ax.inset_axes((0.66, 0.32, 0.33, 0.42))
    for g, colour in ((g_real, MEASURED), (g_model, MODEL)):
        inset.plot(np.sort(g[np.isfinite(g)]) * 1e6, np.linspace(0, 1, np.isfinite(g).sum()), color=colour, lw=1.6)
    inset.set_title("CDF, G after [µS]", fontsize=8)
    inset.tick_params(labelsize=7)
    inset.set_xlim(0, 250)
    rows.append(("forming voltage, mean", float(v_real.mean()), float(np.nanmean(v_model)), "V"))
    rows.append(("forming voltage, sd", float(v_real.std()), float(np.nanstd(v_model)), "V"))
    for q in (5, 50, 95):
        pair = [float(np.nanpercentile(g, q)) * 1e6 for g in (g_real, g_model)]
        rows.append((f"G after forming, {q} % quantile", pair[0], pair[1], "uS"))


def draw_cycling(ax: Axes, rows: list[tuple[str, float, float, str]]) -> None:
    """Draw CDFs of the two states over all cells and cycles."""
    measured, simulated = cycling(seed=3)
    for g, colour, name in ((measured, MEASURED, "measured"), (simulated, MODEL, "model")):
        for state in (0, 1):
            values = np.sort(np.maximum(g[:, :, state], 1e-8).ravel()) * 1e6
            ax.plot(
                values[::20], np.linspace(0, 1, len(values))[::20], color=colour, lw=2, label=name if state else None
            )
    ax.set(
        title="Cycling: CDF of HRS and LRS", xlabel="G [µS]", ylabel="share of readings", xscale="log", xlim=(0.3, 400)
    )
    ax.text(0.02, 0.70, "voltages of the source not\nstated; the model's are\nchosen to meet the medians", fontsize=8,
            va="top", transform=ax.transAxes)  # fmt: skip
    ax.grid(alpha=0.25)
    ax.legend(frameon=False, fontsize=9, loc="upper left")
    for state, name in ((0, "HRS"), (1, "LRS")):
        logs = [np.log(np.maximum(g[:, :, state], 1e-8)) for g in (measured, simulated)]
        rows.append((f"cycling {name}, median G", *(float(np.exp(np.median(x))) * 1e6 for x in logs), "uS"))
        rows.append((f"cycling {name}, c2c sd ln G", *(float(x.std(axis=1).mean()) for x in logs), "1"))
        rows.append((f"cycling {name}, c2c robust sd ln G", *(float(robust(x, 1).mean()) for x in logs), "1"))
        rows.append((f"cycling {name}, d2d sd ln G", *(float(x.mean(axis=1).std()) for x in logs), "1"))
        rows.append((f"cycling {name}, lag-1 correlation", *(lag_one(x) for x in logs), "1"))


def lag_one(logs: Floats) -> float:
    """Return the mean correlation between one cycle and the next."""
    x = logs - logs.mean(axis=1, keepdims=True)
    return float(np.mean((x[:, 1:] * x[:, :-1]).sum(axis=1) / (x * x).sum(axis=1)))


def draw_spread(ax: Axes, spreads: list[tuple[str, Sweep, Sweep]]) -> None:
    """Draw within-device spread against the median conductance, for SET and RESET sweeps."""
    for kind, real, model in spreads:
        marker, name = ("o", "SET") if kind == "set" else ("s", "RESET (SL)")
        if kind == "reset_wl":
            continue
        for sweep, colour, who in ((real, MEASURED, "measured"), (model, MODEL, "model")):
            flat = np.isfinite(sweep.after).sum(axis=(0, 1)) >= 0.8 * DEVICES * REPEATS
            use = flat & (sweep.volts >= 0.6)
            logs = np.log(sweep.after[:, :, use])
            centre = np.exp(np.nanmedian(logs, axis=(0, 1))) * 1e6
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # devices whose sweeps had all stopped
                spread = np.nanmedian(robust(logs, 1), axis=0)
            ax.plot(centre, spread, marker, color=colour, ms=5, ls="-", lw=0.8,
                    mfc=colour if kind == "set" else "white", label=f"{name}, {who}")  # fmt: skip
    ax.set(title="Cycle to cycle, within a device", xlabel="median G [µS]", ylabel="robust sd of ln G",
           xscale="log", yscale="log")  # fmt: skip
    ax.set_xticks([20, 50, 100, 200], labels=["20", "50", "100", "200"])
    ax.set_xticks([], minor=True)
    ax.grid(alpha=0.25)
    ax.legend(frameon=False, fontsize=9)


if __name__ == "__main__":
    raise SystemExit(main())
