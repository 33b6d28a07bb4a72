"""What a profile must say about a filamentary 1T1R cell, section by section.

The symbols are those of the fitted one-state model: state y = ln(Gc / 1 µS), Gc the conductance of
the cell alone, without its series resistance.
"""

# ruff: noqa: N815 -- the symbols of the equations

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from ..quantity import (
    Ampere,
    ElectronVolt,
    Kelvin,
    Ohm,
    PerVolt,
    PerVoltSquared,
    Plain,
    Second,
    Siemens,
    Transconductance,
    Volt,
)


class Section(BaseModel):
    """Base of every profile section: frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Series(Section):
    """Resistance in front of the cell; ``Rs`` includes the read transistor."""

    Rs: Ohm
    line_floor: Ohm


class Transistor(Section):
    """Access transistor: Isat = ½·beta·vov^alpha, vov a soft-plus of Vg − Vt."""

    beta: Transconductance
    Vt: Volt
    n: Plain
    alpha: Plain
    softness: Volt
    read_gate: Volt


class Driver(Section):
    """Word-line driver: Vg = WL·(1 − exp(−(pw/tau)·(WL − Vtd)^exponent)); ``tau`` 0 switches it off."""

    tau: Second
    Vtd: Volt
    exponent: Plain


class SetKinetics(Section):
    """dy/dt = exp((Vc·w − US)/V0S)/µs, w = sqrt((Gc + GxS)/300 µS); slower than the knee, a steeper law."""

    US: Volt
    V0S: Volt
    GxS: Siemens
    slow_knee: Plain
    slow_factor: Plain


class ResetKinetics(Section):
    """dy/dt = −exp((Vc·w − UR)/V0R)/µs, w = r^¼·(s + (1 − s)·r^½)·(Gc+Gm)/(Gc(1+q)+Gm), r = Gc/(Gc+GxR).

    ``shallow`` is s: 0 is the r^¾ of the first fit; at 1 the barrier hardly rises as the cell conducts less, so that
    a single pulse goes as far down as measured cycling does.
    """

    UR: Volt
    V0R: Volt
    GxR: Siemens
    Gm: Siemens
    shallow: Plain
    slow_knee: Plain
    slow_factor: Plain


class Memory(Section):
    """A SET that moves y by more than ``least_move`` leaves q = kq·max(0, ln(I_end/I0)), at most ``q_max``."""

    kq: Plain
    I0: Ampere
    least_move: Plain
    q_max: Plain


class CycleNoise(Section):
    """Cycle-to-cycle draws of SET (sigS, gS, tail) and RESET (sigH, lam, d0).

    Noise of a SET goes with the distance it moves, |Δy| up to 1, to the power ``step_power``: at ½ a way in fine steps
    ends as spread as one in coarse steps, at 1 fine steps are quieter.

    The barrier of the SET is drawn anew as far as a RESET comes: US·(1 + sigB·z), z normal where ``skewB`` is 0, else
    (e^(skewB·z) − 1)/skewB, whose tail above is long: one attempt in ten needs far more than the median one.

    A share ``ptail`` of the SETs from HRS falls short by an exponential law of mean ttail·ln(1 + Gq/Gc)^tail_bend: at 0
    alike everywhere, at 1 the less the better the cell conducts.

    RESET kicks end ``kick_reach``·d0 below the front and below ``kick_volts`` at the cell; in a DC sweep one
    kick belongs to ``kick_step`` of rising voltage.
    """

    Gq: Siemens
    Gh: Siemens
    sigS: Plain
    sigL: Plain
    step_power: Plain
    sigB: Plain
    skewB: Plain
    forget: Plain
    gS: Plain
    ptail: Plain
    ttail: Plain
    tail_bend: Plain
    sigH: Plain
    lam: Plain
    d0: Plain
    kick_reach: Plain
    kick_volts: Volt
    kick_step: Volt
    rho: Plain


class DeviceSpread(Section):
    """Device-to-device draws, taken once: standard deviations of logarithms unless a unit says otherwise."""

    ln_Rs: Plain
    ln_US: Plain
    ln_UR: Plain
    ln_GxR: Plain
    weak_fraction: Plain
    weak_factor: Plain
    block_cells: Plain
    block_Vt: Volt
    block_ln_Rs: Plain


class StateBounds(Section):
    """Range of Gc."""

    Gc_min: Siemens
    Gc_max: Siemens


class Relaxation(Section):
    """Drift and spread of y by ln(1 + t/t0), complete after ``reference_time``: two thermally activated components.

    Weak: normal, mean·1/(1 + (Gc/mean_corner)²) and sd·(100 µS/(Gc + corner))^power·gain, gain lognormal between cells
    (``ln_gain``), as at ``reference_temperature``. Strong: y falls by a gamma process that comes to an exponential
    law of mean ``strong_mean`` at ``strong_temperature``.
    """

    mean: Plain
    mean_corner: Siemens
    sd: Plain
    corner: Siemens
    power: Plain
    ln_gain: Plain
    activation: ElectronVolt
    reference_temperature: Kelvin
    strong_mean: Plain
    strong_activation: ElectronVolt
    strong_temperature: Kelvin
    t0: Second
    reference_time: Second


class ReadNoise(Section):
    """Noise of y: scale/(1+(Gc/Gq)²)·t(dof), plus ``relative`` of G; 1/f noise and two-state traps on top.

    1/f: relaxators of time constants tau with a standard deviation of y of flicker·sqrt(1 + Gq/Gc)·tau^tilt each (a
    spectrum of slope −(1 + 2·tilt)), lognormal between cells. Traps: steps of y of scale·trap_amplitude/(1 + Gc/Gq).
    """

    scale: Plain
    dof: Plain
    relative: Plain
    flicker: Plain
    flicker_tilt: Plain
    flicker_ln_sd: Plain
    one_trap_fraction: Plain
    two_trap_fraction: Plain
    trap_amplitude: Plain
    trap_ln_sd: Plain
    trap_tau_min: Second
    trap_tau_max: Second


class Nonlinearity(Section):
    """Read current ×(1 + a3·V²), a3 interpolated between three conductances, relative to ``reference_volts``."""

    a3_at_20uS: PerVoltSquared
    a3_at_50uS: PerVoltSquared
    a3_at_80uS: PerVoltSquared
    reference_volts: Volt
    largest_volts: Volt


class Forming(Section):
    """First SET: a cell forms once ∫exp((Vc − VF)/V0F)dt reaches ``reference_width``; VF ~ N(mean, sd)."""

    mean: Volt
    sd: Volt
    gate: Volt
    reference_width: Second
    V0F: Volt
    virgin: Siemens
    virgin_ln_sd: Plain
    compliance_gain: PerVolt
    ln_sd: Plain
    tail_fraction: Plain
    tail_mean: Plain


class Stuck(Section):
    """Fractions of cells that never switch."""

    open_fraction: Plain
    on_fraction: Plain
    short_fraction: Plain
    open_conductance: Siemens
    on_conductance: Siemens
    short_conductance: Siemens


class Damage(Section):
    """Breakdown: hazard exp((x − 1)/width)/µs, x = max(|Vc|/volts, I/current), against an Exp(1) strength."""

    volts: Volt
    current: Ampere
    width: Plain
    short_share: Plain


class Wear(Section):
    """Endurance in full cycles (one cycle = ``excursion`` of |Δy|), lognormal between cells."""

    median_cycles: Plain
    ln_sd: Plain
    excursion: Plain
    age_power: Plain
    age_cycles: Plain
    fade: Plain


class Temperature(Section):
    """Ambient temperature and activation of switching (rates are as fitted at ``reference``)."""

    ambient: Kelvin
    reference: Kelvin
    switching: ElectronVolt


class FilamentParameters(Section):
    """Every number of :class:`~.filament.FilamentModel`."""

    series: Series
    transistor: Transistor
    driver: Driver
    set: SetKinetics
    reset: ResetKinetics
    memory: Memory
    cycle_noise: CycleNoise
    device_spread: DeviceSpread
    bounds: StateBounds
    relaxation: Relaxation
    read_noise: ReadNoise
    nonlinearity: Nonlinearity
    forming: Forming
    stuck: Stuck
    damage: Damage
    wear: Wear
    temperature: Temperature
