"""What a simulated instrument tells about its simulation, below a header that no real instrument has."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .arguments import Number, Text
from .errors import ScpiError
from .tree import Command

if TYPE_CHECKING:
    from ..sim_clock import SimClock


def simulation_commands(
    clock: SimClock,
    advance: Callable[[float], None],
    info: Callable[[], bytes],
    *,
    place: Callable[[str], None] | None = None,
) -> list[Command]:
    """Return ``SIMulation:…``: the bench's clock, and ``info``, a block of JSON on chip and seed.

    ``place`` puts the probes on a device, where somebody does.
    """

    def probe(device: str) -> None:
        assert place is not None
        try:
            place(device)
        except ValueError as error:
            raise ScpiError(-224, str(error)) from error

    return [
        *([] if place is None else [Command("SIMulation:PROBe", probe, (Text("device"),))]),
        Command("SIMulation:CLOCk?", lambda: f"{clock.now + clock.ahead:.15g}"),
        Command("SIMulation:CLOCk:ADVance", advance, (Number("seconds", "S", 0.0, 1e9),)),
        Command("SIMulation:INFO?", info),
    ]
