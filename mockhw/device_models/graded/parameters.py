"""What a profile must say about a passive cell that switches gradually, section by section.

The state s is log-conductance: G(0.2 V) = Goff·(Gon/Goff)^s, 0 the nominal off and 1 the nominal on state; a
virgin cell is the same state far below 0. Vc is the voltage at the switching layer, behind the series resistance.
"""

# ruff: noqa: N815 -- the symbols of the equations

from __future__ import annotations

from ..filament.parameters import Section
from ..quantity import Ampere, ElectronVolt, Kelvin, Ohm, PerVolt, Plain, Second, Siemens, Volt


class Conduction(Section):
    """I = g·κ·sinh(b·Vc) behind Rs, κ = Vr/sinh(b·Vr) so that I/Vc = g at ``reference_volts``."""

    Gon: Siemens
    Goff: Siemens
    Gv: Siemens
    b: PerVolt
    b_virgin: PerVolt
    Rs: Ohm
    reference_volts: Volt


class GradedSet(Section):
    """ds/dt = +exp(λ + (Vc/ξ − VS0 − aS·s)/V0S)·min(1, (smax − s)/w) per second."""

    VS0: Volt
    V0S: Volt
    aS: Volt


class GradedReset(Section):
    """ds/dt = −exp(λ + (|Vc|/ξ − VR0 − aR·(1 − s))/V0R)·min(1, (s − smin)/w) per second."""

    VR0: Volt
    V0R: Volt
    aR: Volt


class GradedForming(Section):
    """ds/dt = exp((Vc/ξF − VF0 + gF·(s − sv)/|sv|)/V0F) per second until s > ``latch``·sv, then the SET law."""

    VF0: Volt
    V0F: Volt
    gF: Volt
    latch: Plain


class GradedBounds(Section):
    """Range of s, and the width over which motion fades out before an end."""

    smin: Plain
    smax: Plain
    w: Plain


class GradedCycles(Section):
    """Noise of motion Δs ± √(|Δs|/N), and draws of λ and of an end of the range taken anew at each reversal.

    A reversal counts once the cell has moved by ``least_move`` against its last direction; ``rho`` correlates
    a draw with the one before.
    """

    N: Plain
    N_forming: Plain
    lam: Plain
    bound: Plain
    rho: Plain
    least_move: Plain


class GradedSpread(Section):
    """Device-to-device draws, taken once: standard deviations, of logarithms where ``ln`` says so."""

    ln_xi: Plain
    ln_xi_forming: Plain
    lam: Plain
    ln_Gon: Plain
    ln_Goff: Plain
    ln_Gv: Plain
    ln_b: Plain
    ln_a: Plain
    ln_Rs: Plain
    smin: Plain
    smax: Plain


class GradedReadNoise(Section):
    """σ of one reading, in percent of it: ``slope``·R/Ω + ``floor``, R held at ``largest_ohms`` beyond."""

    slope: Plain
    floor: Plain
    largest_ohms: Ohm


class GradedStuck(Section):
    """Fractions of cells that never switch, and what they conduct."""

    on_fraction: Plain
    on_conductance: Siemens
    on_conductance_sd: Siemens
    off_fraction: Plain
    off_conductance: Siemens


class GradedDamage(Section):
    """Breakdown: hazard [(Vc/volts)^volts_power + (I/current)^current_power]/``time`` against an Exp(1) strength."""

    volts: Volt
    volts_power: Plain
    current: Ampere
    current_power: Plain
    time: Second
    short_share: Plain
    short_conductance: Siemens
    open_conductance: Siemens


class GradedWear(Section):
    """Endurance in full cycles (one cycle = ``excursion`` of |Δs|), lognormal between cells; ends stuck on."""

    median_cycles: Plain
    ln_sd: Plain
    excursion: Plain


class GradedFatigue(Section):
    """The window closes before a cell fails: its ends have come in by ``low``, ``high`` of s at ``wear`` = endurance.

    On the way there they follow (wear/endurance)^``power``.
    """

    low: Plain
    high: Plain
    power: Plain


class GradedFluctuation(Section):
    """What of the read noise is slow, and telegraph noise on top.

    The variance of :class:`GradedReadNoise` is that of one reading averaged over ``aperture``: ``flicker_share`` of
    it is 1/f noise between the inverse of ``flicker_longest`` and of ``flicker_shortest``, the rest is white. Traps
    switch by ``trap_amplitude`` (median; ln sd 0.5) standard deviations of that law.
    """

    aperture: Second
    flicker_share: Plain
    flicker_shortest: Second
    flicker_longest: Second
    one_trap_fraction: Plain
    two_trap_fraction: Plain
    trap_amplitude: Plain
    trap_tau_min: Second
    trap_tau_max: Second


class GradedRetention(Section):
    """How a state that was left alone changes with L = ln(1 + t/t0), L = 1 at ``reference_time``.

    s·exp(−drift·L) + √(weak_sd² + strong_sd²)·√L·N(0, 1); each of the three is as given at
    ``reference_temperature`` and activated by its own energy. t counts from the write; one that moves s by less than
    ``fresh_move`` takes only its share off the age of the state.
    """

    drift: Plain
    drift_activation: ElectronVolt
    weak_sd: Plain
    weak_activation: ElectronVolt
    strong_sd: Plain
    strong_activation: ElectronVolt
    t0: Second
    fresh_move: Plain
    reference_time: Second
    reference_temperature: Kelvin


class GradedTemperature(Section):
    """Ambient temperature and activation of switching (rates are as given at ``reference``)."""

    ambient: Kelvin
    reference: Kelvin
    switching: ElectronVolt


class LineFaults(Section):
    """Leads of the lines, and what is wrong with whole lines.

    On ``lead_fraction`` of the chips a lead has ``lead_ohms``·|x|^``lead_power``, x the line's place from −1 to 1
    across the array, with a lognormal factor; on the others none. A line is at most one of: *open* (its lead has
    ``open_ohms``), *graded* (its lead has a lognormal resistance more), *leaky* (each of its crosspoints has a
    lognormal conductance beside the cell), *shorted* (to its neighbour, at the pads).
    """

    lead_fraction: Plain
    lead_ohms: Ohm
    lead_power: Plain
    lead_ln_sd: Plain
    open_fraction: Plain
    open_ohms: Ohm
    graded_fraction: Plain
    graded_ohms: Ohm
    graded_ln_sd: Plain
    leaky_fraction: Plain
    leaky_conductance: Siemens
    leaky_ln_sd: Plain
    shorted_fraction: Plain
    short_ohms: Ohm


class GradedParameters(Section):
    """Every number of the cells and lines of a :class:`~..passive_chip.PassiveChip`.

    A profile without one of the last five sections has nothing of it: cells that do not tire, white noise, states
    that stay, the temperature at which all was given, good lines without leads.
    """

    conduction: Conduction
    set: GradedSet
    reset: GradedReset
    forming: GradedForming
    bounds: GradedBounds
    cycles: GradedCycles
    device_spread: GradedSpread
    read_noise: GradedReadNoise
    stuck: GradedStuck
    damage: GradedDamage
    wear: GradedWear
    fatigue: GradedFatigue | None = None
    fluctuation: GradedFluctuation | None = None
    retention: GradedRetention | None = None
    temperature: GradedTemperature | None = None
    lines: LineFaults | None = None
