"""Draws a population of filament cells from a profile: device-to-device spread, stuck cells, traps."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..fluctuations import draw_traps
from ..random_streams import stream_keys
from ..relaxation import arrhenius
from .parameters import FilamentParameters
from .types import FLICKER_DECADES, FLICKER_FIRST, HEALTHY, ON, OPEN, SHORT, Floats, Law, empty_cells

_MICRO = 1e6
_MEGAOHM = 1e-6


def make_law(p: FilamentParameters) -> Law:
    """Convert a profile's SI numbers to kernel units."""
    ambient = float(p.temperature.ambient)
    weak = arrhenius(p.relaxation.activation, ambient, p.relaxation.reference_temperature)
    strong = arrhenius(p.relaxation.strong_activation, ambient, p.relaxation.strong_temperature)
    return Law(
        beta=p.transistor.beta * _MICRO,
        vt=float(p.transistor.Vt),
        n=float(p.transistor.n),
        alpha=float(p.transistor.alpha),
        soft=float(p.transistor.softness),
        read_vov=p.transistor.read_gate - p.transistor.Vt,
        tau=p.driver.tau * _MICRO,
        vtd=float(p.driver.Vtd),
        aw=float(p.driver.exponent),
        inv_v0s=1.0 / p.set.V0S,
        gxs=p.set.GxS * _MICRO,
        knee_s=float(p.set.slow_knee),
        slow_s=float(p.set.slow_factor),
        inv_v0r=1.0 / p.reset.V0R,
        gm=p.reset.Gm * _MICRO,
        shallow=float(p.reset.shallow),
        knee_r=float(p.reset.slow_knee),
        slow_r=float(p.reset.slow_factor),
        kq=float(p.memory.kq),
        i0=p.memory.I0 * _MICRO,
        least_move=float(p.memory.least_move),
        q_max=float(p.memory.q_max),
        gq=p.cycle_noise.Gq * _MICRO,
        gh=p.cycle_noise.Gh * _MICRO,
        sig_s=float(p.cycle_noise.sigS),
        sig_l=float(p.cycle_noise.sigL),
        step_power=float(p.cycle_noise.step_power),
        sig_b=float(p.cycle_noise.sigB),
        skew_b=float(p.cycle_noise.skewB),
        forget=float(p.cycle_noise.forget),
        ln_rho=math.log(max(p.cycle_noise.rho, 1e-9)),
        g_s=float(p.cycle_noise.gS),
        ptail=float(p.cycle_noise.ptail),
        ttail=float(p.cycle_noise.ttail),
        tail_bend=float(p.cycle_noise.tail_bend),
        sig_h=float(p.cycle_noise.sigH),
        lam=float(p.cycle_noise.lam),
        d0=float(p.cycle_noise.d0),
        kick_floor=1.0 / (1.0 + p.cycle_noise.kick_reach**4),
        kick_volts=float(p.cycle_noise.kick_volts),
        kick_step=float(p.cycle_noise.kick_step),
        rho=float(p.cycle_noise.rho),
        y_min=math.log(p.bounds.Gc_min * _MICRO),
        y_max=math.log(p.bounds.Gc_max * _MICRO),
        relax_mean=float(p.relaxation.mean),
        relax_mean_corner=p.relaxation.mean_corner * _MICRO,
        relax_sd=float(p.relaxation.sd),
        relax_corner=p.relaxation.corner * _MICRO,
        relax_power=float(p.relaxation.power),
        relax_weak=math.exp(weak),
        relax_strong=p.relaxation.strong_mean * math.exp(strong),
        relax_t0=float(p.relaxation.t0),
        relax_inv_log=1.0 / math.log1p(p.relaxation.reference_time / p.relaxation.t0),
        ln_rate=arrhenius(p.temperature.switching, ambient, p.temperature.reference),
        noise_scale=float(p.read_noise.scale),
        noise_dof=float(p.read_noise.dof),
        noise_relative=float(p.read_noise.relative),
        flicker_scale=float(p.read_noise.flicker),
        flicker_tilt=float(p.read_noise.flicker_tilt),
        flicker_first=FLICKER_FIRST**p.read_noise.flicker_tilt,
        flicker_ratio=10.0 ** (FLICKER_DECADES * p.read_noise.flicker_tilt),
        a3_20=float(p.nonlinearity.a3_at_20uS),
        a3_50=float(p.nonlinearity.a3_at_50uS),
        a3_80=float(p.nonlinearity.a3_at_80uS),
        ref_volts=float(p.nonlinearity.reference_volts),
        a3_volts=float(p.nonlinearity.largest_volts),
        form_width=p.forming.reference_width * _MICRO,
        inv_v0f=1.0 / p.forming.V0F,
        form_gain=float(p.forming.compliance_gain),
        form_sd=float(p.forming.ln_sd),
        damage_volts=float(p.damage.volts),
        damage_current=p.damage.current * _MICRO,
        damage_width=float(p.damage.width),
        short_share=float(p.damage.short_share),
        y_open=math.log(p.stuck.open_conductance * _MICRO),
        y_on=math.log(p.stuck.on_conductance * _MICRO),
        y_short=math.log(p.stuck.short_conductance * _MICRO),
        wear_excursion=float(p.wear.excursion),
        age_power=float(p.wear.age_power),
        age_cycles=float(p.wear.age_cycles),
        fade=float(p.wear.fade),
        form_tail=float(p.forming.tail_fraction),
        form_tail_mean=float(p.forming.tail_mean),
    )


def draw_cells(p: FilamentParameters, size: int, seed: int) -> NDArray[np.void]:
    """Draw ``size`` virgin cells; the same seed gives the same population."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, size]))
    spread = p.device_spread
    z = rng.standard_normal((8, size))
    block = np.arange(size) // int(spread.block_cells)
    blocks = rng.standard_normal((2, int(block[-1]) + 1))[:, block]

    kind = _stuck(p, rng.random(size))
    vt = p.transistor.Vt + spread.block_Vt * blocks[0]
    rs = p.series.Rs * np.exp(spread.ln_Rs * z[0] + spread.block_ln_Rs * blocks[1]) * _MEGAOHM
    channel = 1.0 / (p.transistor.beta * _MICRO * (p.transistor.read_gate - vt))
    ur = p.reset.UR * np.exp(spread.ln_UR * z[2])
    ur = np.where(rng.random(size) < spread.weak_fraction, ur * spread.weak_factor, ur)

    y = np.log(p.forming.virgin * _MICRO) + p.forming.virgin_ln_sd * z[4]
    for which, value in (
        (OPEN, p.stuck.open_conductance),
        (ON, p.stuck.on_conductance),
        (SHORT, p.stuck.short_conductance),
    ):
        y[kind == which] = math.log(value * _MICRO)

    noise = p.read_noise
    traps = draw_traps(
        rng, size, one=float(noise.one_trap_fraction), two=float(noise.two_trap_fraction),
        tau=(float(noise.trap_tau_min), float(noise.trap_tau_max)),
        step=float(noise.scale * noise.trap_amplitude), ln_sd=float(noise.trap_ln_sd),
    )  # fmt: skip

    cells = empty_cells(size)
    cells["y"] = y
    cells["gc"] = np.exp(y)
    cells["vt"] = vt
    cells["rs"] = rs
    cells["rl"] = np.maximum(rs - channel, p.series.line_floor * _MEGAOHM)
    cells["us"] = p.set.US * np.exp(spread.ln_US * z[1])
    cells["ur"] = ur
    cells["gxr"] = p.reset.GxR * _MICRO * np.exp(spread.ln_GxR * z[3])
    cells["kind"] = kind
    cells["formed"] = kind >= ON
    cells["vf"] = p.forming.mean + p.forming.sd * z[5]
    cells["xi_s"] = z[6]
    cells["xi_r"] = z[7]
    cells["strength"] = rng.exponential(1.0, size)
    cells["endurance"] = p.wear.median_cycles * np.exp(p.wear.ln_sd * rng.standard_normal(size))
    for name, values in traps.items():
        cells[name] = values
    cells["relax_gain"] = np.exp(p.relaxation.ln_gain * rng.standard_normal(size))
    cells["flicker_gain"] = np.exp(noise.flicker_ln_sd * rng.standard_normal(size))
    cells["flicker"] = rng.standard_normal((size, 5))
    cells["key"] = stream_keys(seed, size)
    return cells


def _stuck(p: FilamentParameters, chance: Floats) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    edges = np.cumsum([p.stuck.open_fraction, p.stuck.on_fraction, p.stuck.short_fraction])
    kinds = np.array([OPEN, ON, SHORT, HEALTHY], np.uint8)
    return kinds[np.searchsorted(edges, chance, side="right")]
