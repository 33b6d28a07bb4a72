"""System and source commands of the array board (board protocol, §4.1 and §4.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...scpi.arguments import Boolean, Integer, Number
from ...scpi.tree import Command, number, setting
from .core import BoardCore
from .parameters import attribute

if TYPE_CHECKING:
    from ...scpi.device import Hold


def system_commands(board: BoardCore) -> list[Command]:
    """Return the commands of the board as a whole."""
    return [
        Command("ABORt", board.zero, aborts=_always),
        Command("SYSTem:CAPability?", board.capability),
        Command("SYSTem:SYNC?", str, (Integer("n"),)),
        *setting(
            "SYSTem:WATChdog[:TIMEout]",
            Number("timeout", "S", 0.0, 3600.0, 10.0),
            lambda: number(board.watchdog_seconds),
            board.set_watchdog,
        ),
        Command("SYSTem:WATChdog:SUSPend", board.suspend_watchdog, (Number("silence", "S", 0.0, 1e6),)),
        *(_revision_2(board) if board.spec.revision >= 2 else ()),
    ]


def _revision_2(board: BoardCore) -> list[Command]:
    return [
        Command("TAG?", board.set_tag, (Integer("tag", low=1, high=2**32 - 1),)),
        Command("ACTion:LAST?", board.told_latest),
        Command("CHIP:BIRTh?", lambda: f'"{board.chip.birth}"'),
    ]


def source_commands(board: BoardCore) -> list[Command]:
    """Return the commands of the drivers."""
    spec = board.spec

    def output(on: bool) -> Hold | None:
        return board.set_output(on=on)

    volts = Number("volts", "V", -spec.read_volts_max, spec.read_volts_max, 0.2)
    gate = Number("gate", "V", 0.0, spec.gate_max, spec.read_gate)
    return [
        Command("OUTPut[:STATe]", output, (Boolean("state"),), aborts=_turns_off),
        Command("OUTPut[:STATe]?", lambda: "1" if board.output else "0"),
        Command("SOURce:ZERO", board.zero, aborts=_always),
        *attribute(board, "SOURce:READ:VOLTage", volts, "read_volts"),
        *attribute(board, "SOURce:READ:GATE", gate, "read_gate"),
        *attribute(board, "SOURce:VMM:GATE", gate, "vmm_gate"),
    ]


def _turns_off(on: bool) -> bool:
    return not on


_always: Callable[..., bool] = lambda *_: True  # noqa: E731
