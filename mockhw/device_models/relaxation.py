"""How far a state has relaxed since it was written: the logarithm of time, and what temperature makes of it."""

from __future__ import annotations

import math
from typing import Final

from numba import njit

EV_PER_K: Final = 8.617333262e-5
"""Boltzmann's constant."""


def arrhenius(activation: float, ambient: float, reference: float) -> float:
    """Return ln of how much faster (or larger) a thermally activated thing is at ``ambient`` than at ``reference`` [K].

    Parameters
    ----------
    activation : float [eV]
    ambient, reference : float [K]
    """
    return activation / EV_PER_K * (1.0 / reference - 1.0 / ambient)


@njit(cache=True, error_model="numpy")
def relaxed_part(t0: float, t_move: float, t_relax: float, now: float) -> float:
    """Return ln of the growth of the time since the last move over ``t_relax`` … ``now`` [s]; 0: too short to matter.

    ``t0`` [s] is when relaxation begins after a move. Parts of successive looks add up to that of one look.
    """
    since = t0 + t_relax - t_move
    passed = now - t_relax
    if passed < 1e-3 * since:
        return 0.0
    return math.log1p(passed / since)
