"""What the compiled filament kernels take: the law's constants and the cells' arrays.

Kernel units are µS, µA, MΩ, V and µs, so that V/MΩ is µA and no constant is tiny.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..build import build_name

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Block = NDArray[np.float32]
Real = float | np.floating[Any]

HEALTHY, OPEN, ON, SHORT = 0, 1, 2, 3

FLICKER_FIRST, FLICKER_DECADES = 3.16e-3, 1.25
"""Shortest time constant of a cell's own relaxators [s], and decades from one to the next."""


BUILD = build_name(Path(__file__).parent / f"{name}.py" for name in ("kinetics", "read_kernel", "kernel"))


class Law(NamedTuple):
    """Constants shared by all cells."""

    beta: float
    vt: float
    n: float
    alpha: float
    soft: float
    read_vov: float
    tau: float
    vtd: float
    aw: float
    inv_v0s: float
    gxs: float
    knee_s: float
    slow_s: float
    inv_v0r: float
    gm: float
    shallow: float
    knee_r: float
    slow_r: float
    kq: float
    i0: float
    least_move: float
    q_max: float
    gq: float
    gh: float
    sig_s: float
    sig_l: float
    step_power: float
    sig_b: float
    skew_b: float
    forget: float
    ln_rho: float
    g_s: float
    ptail: float
    ttail: float
    tail_bend: float
    sig_h: float
    lam: float
    d0: float
    kick_floor: float
    kick_volts: float
    kick_step: float
    rho: float
    y_min: float
    y_max: float
    relax_mean: float
    relax_mean_corner: float
    relax_sd: float
    relax_corner: float
    relax_power: float
    relax_weak: float
    relax_strong: float
    relax_t0: float
    relax_inv_log: float
    ln_rate: float
    noise_scale: float
    noise_dof: float
    noise_relative: float
    flicker_scale: float
    flicker_tilt: float
    flicker_first: float
    flicker_ratio: float
    a3_20: float
    a3_50: float
    a3_80: float
    ref_volts: float
    a3_volts: float
    form_width: float
    inv_v0f: float
    form_gain: float
    form_sd: float
    damage_volts: float
    damage_current: float
    damage_width: float
    short_share: float
    y_open: float
    y_on: float
    y_short: float
    wear_excursion: float
    age_power: float
    age_cycles: float
    fade: float
    form_tail: float
    form_tail_mean: float


CELL = np.dtype(
    [
        # First cache line: all that a read needs.
        ("gc", "f8"),  # always e^y, written by put() only
        ("rs", "f8"),
        ("kind", "u1"),
        ("formed", "u1"),
        ("polarity", "i1"),
        ("traps", "u1"),
        ("trap_state", "u1", (2,)),
        ("pad", "u1", (2,)),  # keeps what follows aligned
        ("key", "u8"),
        ("counter", "u8"),
        ("t_trap", "f8"),
        ("t_move", "f8"),
        ("t_relax", "f8"),
        # Second: what a pulse needs besides.
        ("y", "f8"),
        ("rl", "f8"),
        ("us", "f8"),
        ("ur", "f8"),
        ("gxr", "f8"),
        ("q", "f8"),
        ("xi_s", "f8"),
        ("xi_r", "f8"),
        # Third and fourth.
        ("wear", "f8"),
        ("endurance", "f8"),
        ("vt", "f8"),
        ("damage", "f8"),
        ("strength", "f8"),
        ("vf", "f8"),
        ("stress", "f8"),
        ("spare", "f8"),
        ("trap_tau", "f8", (2,)),
        ("trap_occupied", "f8", (2,)),
        ("trap_step", "f8", (2,)),
        ("relax_gain", "f8"),
        (BUILD, "f8", (1,)),
        # Fifth: slow noise.
        ("flicker", "f4", (5,)),
        ("flicker_gain", "f4"),
        ("t_flicker", "f8", (5,)),
    ]
)
"""One cell: state and draws, as one record of five cache lines, so that a kernel touches few of them."""


def empty_cells(size: int) -> NDArray[np.void]:
    """Return zeroed records that start on a cache line."""
    raw = np.zeros(size * CELL.itemsize + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size * CELL.itemsize].view(CELL)


class Cell(Protocol):
    """How compiled code sees one record of :data:`CELL` (for type checkers and readers)."""

    y: float  # ln(Gc/µS)
    gc: float
    vt: float
    us: float
    ur: float
    kind: int  # HEALTHY, OPEN, ON or SHORT
    formed: int
    polarity: int  # direction of the last move that drew cycle noise
    traps: int
    trap_state: NDArray[np.uint8]
    rs: float  # series resistance of a read, transistor included
    rl: float  # the same without the transistor
    gxr: float
    q: float  # memory of the last SET
    t_move: float  # time of the last move [s]
    t_relax: float  # time up to which relaxation is applied [s]
    xi_s: float  # last cycle's draws
    xi_r: float
    key: np.uint64
    counter: np.uint64
    t_trap: float
    trap_tau: Floats
    trap_occupied: Floats
    trap_step: Floats
    vf: float  # forming voltage
    stress: float  # forming stress, formed at 1
    damage: float
    strength: float
    wear: float  # cycles
    endurance: float
    relax_gain: float  # of the spread of relaxation
    flicker: NDArray[np.float32]  # slow relaxators, each of variance 1
    flicker_gain: float
    t_flicker: Floats  # time up to which each has been followed [s]


def as_record(law: Law) -> NDArray[np.void]:
    """Return the law as a one-element record array, which compiled code passes as a pointer."""
    return np.array([(*law, 0.0)], np.dtype([(name, "f8") for name in (*Law._fields, BUILD)]))
