"""What the compiled kernels of graded passive cells take: the law's constants and the cells' records.

All numbers are SI.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..build import build_name

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

HEALTHY, OPEN, STUCK_ON, SHORT, STUCK_OFF = 0, 1, 2, 3, 4


def _kernels() -> Iterator[Path]:
    here = Path(__file__).parent
    yield from (here / f"{name}.py" for name in ("kinetics", "kernel"))
    chip = here.parents[1] / "passive_chip"
    yield from (chip / f"{name}.py" for name in ("drive", "factors", "network", "life"))


BUILD = build_name(_kernels())


class Law(NamedTuple):
    """Constants shared by all cells."""

    vr: float
    vs0: float
    inv_v0s: float
    vr0: float
    inv_v0r: float
    vf0: float
    inv_v0f: float
    gf: float
    latch: float
    w: float
    inv_n: float
    inv_n_forming: float
    c2c_lam: float
    c2c_bound: float
    rho: float
    least_move: float
    noise_slope: float
    noise_floor: float
    noise_ohms: float
    damage_volts: float
    volts_power: float
    damage_current: float
    current_power: float
    damage_time: float
    short_share: float
    g_short: float
    g_open: float
    wear_excursion: float
    g_on: float
    fatigue_low: float
    fatigue_high: float
    fatigue_power: float
    ln_rate: float
    relax_t0: float
    relax_inv_log: float
    relax_drift: float
    relax_sd: float
    relax_move: float
    white_share: float
    aperture: float
    flicker: float
    flicker_shortest: float
    flicker_count: float


RELAXATORS = 9
"""Relaxators a decade apart that make a cell's 1/f noise."""

CELL = np.dtype(
    [
        ("key", "u8"),
        ("counter", "u8"),
        ("s", "f8"),
        ("g", "f8"),
        ("kind", "u1"),
        ("formed", "u1"),
        ("polarity", "i1"),
        ("traps", "u1"),
        ("trap_state", "u1", (2,)),
        ("pad", "u1", (2,)),
        ("ln_ratio", "f8"),
        ("goff", "f8"),
        ("b", "f8"),
        ("b_virgin", "f8"),
        ("rs", "f8"),
        ("inv_xi", "f8"),
        ("inv_xi_forming", "f8"),
        ("a_set", "f8"),
        ("a_reset", "f8"),
        ("lam_set", "f8"),
        ("lam_reset", "f8"),
        ("smin", "f8"),
        ("smax", "f8"),
        ("sv", "f8"),
        ("z_set", "f8"),
        ("z_reset", "f8"),
        ("z_min", "f8"),
        ("z_max", "f8"),
        ("against", "f8"),
        ("path", "f8"),
        ("damage", "f8"),
        ("strength", "f8"),
        ("wear", "f8"),
        ("endurance", "f8"),
        ("worn", "f8"),
        ("pulses", "i8"),
        ("t_move", "f8"),
        ("t_relax", "f8"),
        ("t_trap", "f8"),
        ("trap_tau", "f8", (2,)),
        ("trap_occupied", "f8", (2,)),
        ("trap_step", "f8", (2,)),
        ("flicker", "f8", (RELAXATORS,)),
        (BUILD, "f8"),
    ]
)
"""One cell: state and draws."""


class Cell(Protocol):
    """How compiled code sees one record of :data:`CELL` (for type checkers and readers)."""

    key: np.uint64
    counter: np.uint64
    s: float
    g: float  # conductance [S] of the switching layer at the reference voltage
    kind: int  # HEALTHY, OPEN, STUCK_ON, SHORT or STUCK_OFF
    formed: int
    polarity: int  # direction of the present branch: +1 SET, −1 RESET, 0 never moved
    ln_ratio: float  # ln(Gon/Goff)
    goff: float
    b: float
    b_virgin: float
    rs: float
    inv_xi: float
    inv_xi_forming: float
    a_set: float
    a_reset: float
    lam_set: float  # λ without the cycle's own part
    lam_reset: float
    smin: float  # ends of the range without the cycle's own part
    smax: float
    sv: float  # virgin state
    z_set: float  # cycle's own parts, standard normal
    z_reset: float
    z_min: float
    z_max: float
    against: float  # how far it has moved against its polarity
    path: float  # sum of |Δs| without noise since it was last set to zero
    damage: float
    strength: float
    wear: float  # full cycles
    endurance: float
    worn: float  # how far fatigue has gone, 0 to 1
    pulses: int
    t_move: float  # time of the last move [s]
    t_relax: float  # time up to which relaxation is applied [s]
    traps: int
    t_trap: float  # time up to which traps and 1/f noise have been followed [s]
    trap_state: NDArray[np.uint8]
    trap_tau: Floats
    trap_occupied: Floats
    trap_step: Floats  # in standard deviations of the read noise
    flicker: Floats


def as_record(law: Law) -> NDArray[np.void]:
    """Return the law as a one-element record array, which compiled code passes as a pointer."""
    return np.array([(*law, 0.0)], np.dtype([(name, "f8") for name in (*Law._fields, BUILD)]))
