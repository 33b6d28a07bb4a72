"""What a simulated instrument tells about its simulation, below a header that no real instrument has."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .arguments import Number
from .tree import Command

if TYPE_CHECKING:
    from ..sim_clock import SimClock


def simulation_commands(clock: SimClock, advance: Callable[[float], None], info: Callable[[], bytes]) -> list[Command]:
    """Return ``SIMulation:…``: the bench's clock, and ``info``, a block of JSON on chip and seed."""
    return [
        Command("SIMulation:CLOCk?", lambda: f"{clock.now + clock.ahead:.15g}"),
        Command("SIMulation:CLOCk:ADVance", advance, (Number("seconds", "S", 0.0, 1e9),)),
        Command("SIMulation:INFO?", info),
    ]
