"""Compile the physics of a passive chip before anybody waits for it: once per machine, half a minute.

    python -m xbarlab.mockhw.bench.warm_up tio2_passive

Numba keeps what it has compiled, for this process and all later ones.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from ...common.progress import ProgressBar
from ..sim_clock import SimClock

if TYPE_CHECKING:
    from ..chip.profile import Profile


def warm_up(profile: Profile) -> None:
    """Let a chip of its own live for a moment, so that everything compiled is there."""
    from ..passive_chip.bias import Bias
    from ..passive_chip.chip import PassiveChip

    chip = PassiveChip(profile, seed=0, clock=SimClock())
    lines = chip.rows + chip.cols
    source = np.full(lines, -1, dtype=np.int64)
    source[0], source[chip.rows] = 0, 1
    bias = Bias(source, np.ones(lines), np.array([1.0, 0.0]), np.zeros(2), np.full(2, 1e-3), np.zeros(2))
    with notice():
        chip.hold(bias, 1e-6)
        chip.play(bias, bias.volts[None, :], np.array([1e-6]), 1)
        chip.measure(bias)


def notice() -> ProgressBar:
    """Return what says on stderr what takes so long, when it does."""
    return ProgressBar("compiling the physics of the mock chip, once on this machine (half a minute)")


def main(arguments: list[str]) -> None:
    """Warm up the profiles named."""
    from ..chip.profile import load_profile

    for name in arguments:
        warm_up(load_profile(name))


if __name__ == "__main__":
    main(sys.argv[1:])
