"""Draws a population of graded cells from a profile: device-to-device spread, stuck cells, strengths."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..fluctuations import draw_traps, seen_of_relaxator
from ..random_streams import stream_keys
from ..relaxation import arrhenius
from .parameters import GradedFluctuation, GradedParameters, GradedRetention
from .types import CELL, HEALTHY, RELAXATORS, STUCK_OFF, STUCK_ON, Law


def make_law(p: GradedParameters) -> Law:
    """Convert a profile's numbers to what the kernels take.

    Raises
    ------
    ValueError
        When 1/f noise is to span no decade, or more than there are relaxators for.
    """
    heat, tired = p.temperature, p.fatigue
    return Law(
        vr=float(p.conduction.reference_volts),
        vs0=float(p.set.VS0),
        inv_v0s=1.0 / p.set.V0S,
        vr0=float(p.reset.VR0),
        inv_v0r=1.0 / p.reset.V0R,
        vf0=float(p.forming.VF0),
        inv_v0f=1.0 / p.forming.V0F,
        gf=float(p.forming.gF),
        latch=float(p.forming.latch),
        w=float(p.bounds.w),
        inv_n=1.0 / p.cycles.N,
        inv_n_forming=1.0 / p.cycles.N_forming,
        c2c_lam=float(p.cycles.lam),
        c2c_bound=float(p.cycles.bound),
        rho=float(p.cycles.rho),
        least_move=float(p.cycles.least_move),
        noise_slope=float(p.read_noise.slope),
        noise_floor=float(p.read_noise.floor),
        noise_ohms=float(p.read_noise.largest_ohms),
        damage_volts=float(p.damage.volts),
        volts_power=float(p.damage.volts_power),
        damage_current=float(p.damage.current),
        current_power=float(p.damage.current_power),
        damage_time=float(p.damage.time),
        short_share=float(p.damage.short_share),
        g_short=float(p.damage.short_conductance),
        g_open=float(p.damage.open_conductance),
        wear_excursion=float(p.wear.excursion),
        g_on=float(p.stuck.on_conductance),
        fatigue_low=float(tired.low) if tired else 0.0,
        fatigue_high=float(tired.high) if tired else 0.0,
        fatigue_power=float(tired.power) if tired else 1.0,
        ln_rate=arrhenius(heat.switching, heat.ambient, heat.reference) if heat else 0.0,
        **_relaxation(p.retention, float(heat.ambient) if heat else None),
        **_noise(p.fluctuation),
    )


def _relaxation(r: GradedRetention | None, ambient: float | None) -> dict[str, float]:
    if r is None:
        return {"relax_t0": 1.0, "relax_inv_log": 0.0, "relax_drift": 0.0, "relax_sd": 0.0, "relax_move": 1.0}

    def now(value: float, activation: float) -> float:
        return value if ambient is None else value * math.exp(arrhenius(activation, ambient, r.reference_temperature))

    return {
        "relax_t0": float(r.t0),
        "relax_inv_log": 1.0 / math.log1p(r.reference_time / r.t0),
        "relax_drift": now(r.drift, r.drift_activation),
        "relax_move": float(r.fresh_move),
        "relax_sd": math.hypot(now(r.weak_sd, r.weak_activation), now(r.strong_sd, r.strong_activation)),
    }


def _noise(n: GradedFluctuation | None) -> dict[str, float]:
    if n is None:
        return {
            "white_share": 1.0, "aperture": 0.0, "flicker": 0.0, "flicker_shortest": 1.0, "flicker_count": 0.0,
        }  # fmt: skip
    count = 1 + round(math.log10(n.flicker_longest / n.flicker_shortest))
    if not 1 <= count <= RELAXATORS:
        raise ValueError(
            f"1/f noise from {n.flicker_shortest!r} to {n.flicker_longest!r}: "
            f"choose times up to {RELAXATORS - 1} decades apart, the longest last"
        )
    seen = sum(seen_of_relaxator(n.aperture / (n.flicker_shortest * 10.0**j)) ** 2 for j in range(count))
    return {
        "white_share": math.sqrt(1.0 - n.flicker_share),
        "aperture": float(n.aperture),
        "flicker": math.sqrt(n.flicker_share / seen),
        "flicker_shortest": float(n.flicker_shortest),
        "flicker_count": float(count),
    }


def draw_cells(p: GradedParameters, size: int, seed: int) -> NDArray[np.void]:
    """Draw ``size`` virgin cells; the same seed gives the same population."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, size]))
    spread, base = p.device_spread, p.conduction
    z = rng.standard_normal((13, size))
    cells = np.zeros(size, CELL)
    cells["key"] = stream_keys(seed, size)
    cells["inv_xi"] = np.exp(-spread.ln_xi * z[0])
    cells["inv_xi_forming"] = np.exp(-spread.ln_xi_forming * z[1])
    cells["lam_set"] = spread.lam * z[2]
    cells["lam_reset"] = spread.lam * z[3]
    on = base.Gon * np.exp(spread.ln_Gon * z[4])
    off = base.Goff * np.exp(spread.ln_Goff * z[5])
    virgin = base.Gv * np.exp(spread.ln_Gv * z[6])
    crook = np.exp(spread.ln_b * z[7])
    cells["b"] = base.b * crook
    cells["b_virgin"] = base.b_virgin * crook
    cells["a_set"] = p.set.aS * np.exp(spread.ln_a * z[8])
    cells["a_reset"] = p.reset.aR * np.exp(spread.ln_a * z[9])
    cells["rs"] = np.maximum(base.Rs * np.exp(spread.ln_Rs * z[10]), 1e-3)
    cells["smin"] = p.bounds.smin + spread.smin * z[11]
    cells["smax"] = p.bounds.smax + spread.smax * z[12]
    cells["goff"] = off
    cells["ln_ratio"] = np.log(on / off)
    cells["sv"] = np.log(virgin / off) / cells["ln_ratio"]
    for name in ("z_set", "z_reset", "z_min", "z_max"):
        cells[name] = rng.standard_normal(size)
    cells["strength"] = rng.exponential(1.0, size)
    cells["endurance"] = p.wear.median_cycles * np.exp(p.wear.ln_sd * rng.standard_normal(size))

    chance = rng.random(size)
    kind = np.where(chance < p.stuck.on_fraction, STUCK_ON, HEALTHY)
    kind[(chance >= p.stuck.on_fraction) & (chance < p.stuck.on_fraction + p.stuck.off_fraction)] = STUCK_OFF
    stuck_on = np.maximum(p.stuck.on_conductance + p.stuck.on_conductance_sd * rng.standard_normal(size), 1e-5)
    g = np.select([kind == STUCK_ON, kind == STUCK_OFF], [stuck_on, float(p.stuck.off_conductance)], virgin)
    cells["kind"] = kind
    cells["g"] = g
    cells["s"] = np.log(g / off) / cells["ln_ratio"]
    # Last, so that a profile with these has the cells of one without.
    cells["flicker"] = rng.standard_normal((size, RELAXATORS))
    if (n := p.fluctuation) is not None:
        traps = draw_traps(
            rng,
            size,
            one=n.one_trap_fraction,
            two=n.two_trap_fraction,
            tau=(n.trap_tau_min, n.trap_tau_max),
            step=n.trap_amplitude,
        )
        for name, values in traps.items():
            cells[name] = values
    return cells
