"""Draws a population of graded cells from a profile: device-to-device spread, stuck cells, strengths."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..random_streams import stream_keys
from .parameters import GradedParameters
from .types import CELL, HEALTHY, STUCK_OFF, STUCK_ON, Law


def make_law(p: GradedParameters) -> Law:
    """Convert a profile's numbers to what the kernels take."""
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
    )


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
    return cells
