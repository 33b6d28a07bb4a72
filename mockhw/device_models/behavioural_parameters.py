"""What a profile must say about the two models without voltage-and-time physics."""

from __future__ import annotations

from typing import Literal

from .filament_parameters import Section
from .quantity import Plain, Siemens, SiemensPerVolt, Volt


class GateVoltageParameters(Section):
    """SET writes max(slope·Vg + offset, G), RESET writes ``reset_to``; N(0, noise) added per pulse call."""

    slope: SiemensPerVolt
    offset: Siemens
    reset_to: Siemens
    noise: Siemens
    G_min: Siemens
    G_max: Siemens
    set_threshold: Volt
    reset_threshold: Volt
    gate_threshold: Volt
    read_noise: Plain
    stuck_fraction: Plain


class StepParameters(Section):
    """One pulse above threshold is one step of a weight in [w_min, w_max], mapped onto conductance."""

    law: Literal["constant", "soft_bounds", "exponential"]
    dw_min: Plain
    dw_min_d2d: Plain
    dw_min_c2c: Plain
    up_down: Plain
    up_down_d2d: Plain
    w_max: Plain
    w_max_d2d: Plain
    w_min: Plain
    w_min_d2d: Plain
    exponent: Plain
    G_min: Siemens
    G_max: Siemens
    set_threshold: Volt
    reset_threshold: Volt
    read_noise: Plain
    stuck_fraction: Plain
