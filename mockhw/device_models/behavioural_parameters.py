"""What a profile must say about the two models without voltage-and-time physics."""

from __future__ import annotations

from typing import Literal

from .filament.parameters import Section
from .quantity import Plain, Siemens, SiemensPerVolt, Volt


class GateVoltageParameters(Section):
    """SET writes max(slope·Vg + offset, G), RESET writes ``reset_to``; each pulse adds N(0, noise).

    ``noise_reach`` is the share of the other cells that the noise of a pulse map strikes too: 0 none, 1 all.
    """

    slope: SiemensPerVolt
    offset: Siemens
    reset_to: Siemens
    noise: Siemens
    noise_reach: Plain
    G_min: Siemens
    G_max: Siemens
    set_threshold: Volt
    reset_threshold: Volt
    gate_threshold: Volt
    read_noise: Plain
    stuck_fraction: Plain


class StepParameters(Section):
    """One pulse above threshold is one step of a weight, mapped from [−1, 1] onto [G_min, G_max].

    ``up_down`` b makes the up step dw_min·(1+b) and the down step dw_min·(1−b); ``exponent`` is used by the
    exponential law only.
    """

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
    gate_threshold: Volt
    read_noise: Plain
    stuck_fraction: Plain
