"""Command table of the simulated array board, in the order of ``docs/board-protocol.md`` §4."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...scpi.arguments import Block, Boolean, Choice, Integer, Number, Parameter
from ...scpi.errors import ScpiError
from ...scpi.simulation_commands import simulation_commands
from ...scpi.tree import Command, number, setting
from .slots import Rectangle

if TYPE_CHECKING:
    from ...scpi.device import Hold
    from .board import ArrayBoard

_RECTANGLE: tuple[Parameter, ...] = (
    Integer("row0", low=0),
    Integer("nrows", low=0),
    Integer("col0", low=0),
    Integer("ncols", low=0),
)


def board_commands(board: ArrayBoard) -> list[Command]:
    """Return every command of ``board``."""
    simulation = simulation_commands(board, board.info)
    return [*_system(board), *_source(board), *_read(board), *_act(board), *_diagnosis(board), *simulation]


def _system(board: ArrayBoard) -> list[Command]:
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
    ]


def _source(board: ArrayBoard) -> list[Command]:
    spec = board.spec

    def output(on: bool) -> Hold | None:
        return board.set_output(on=on)

    return [
        Command("OUTPut[:STATe]", output, (Boolean("state"),), aborts=_turns_off),
        Command("OUTPut[:STATe]?", lambda: "1" if board.output else "0"),
        Command("SOURce:ZERO", board.zero, aborts=_always),
        *_attribute(
            board, "SOURce:READ:VOLTage", Number("volts", "V", -spec.read_volts_max, spec.read_volts_max, 0.2),
            "read_volts",
        ),
        *_attribute(board, "SOURce:READ:GATE", Number("gate", "V", 0.0, spec.gate_max, spec.read_gate), "read_gate"),
        *_attribute(board, "SOURce:VMM:GATE", Number("gate", "V", 0.0, spec.gate_max, spec.read_gate), "vmm_gate"),
    ]  # fmt: skip


def _read(board: ArrayBoard) -> list[Command]:
    spec = board.spec
    cell = _cell(board)
    return [
        *setting(
            "SENSe:RANGe",
            Number("range", "A", 0.0, spec.read_ranges[-1], words={"AUTO": None, "DEF": None, "DEFAULT": None}),
            lambda: "AUTO" if board.read_range is None else number(board.read_range),
            board.set_read_range,
        ),
        *_attribute(board, "SENSe:AVERage", Integer("average", "", 1, spec.average_max, 1), "average"),
        Command("READ:MAP?", board.read_map, _RECTANGLE),
        Command("FETCh:MAP?", board.fetch_map),
        Command(
            "SAMPle?",
            board.sample,
            (
                *cell,
                Number("volts", "V", -spec.read_volts_max, spec.read_volts_max),
                Number("gate", "V", 0.0, spec.gate_max),
                Number("rate", "HZ", 1e-3, spec.rate_max),
                Integer("n", low=1, high=spec.samples_max),
            ),
        ),
    ]


def _act(board: ArrayBoard) -> list[Command]:
    spec = board.spec
    width = Number("width", "S", spec.width_min, spec.width_max)
    amplitude = Number("volts", "V", 0.0, spec.volts_max)
    gate = Number("gate", "V", 0.0, spec.gate_max)
    step = Number("step", "V", 0.0, spec.volts_max)

    def program(*arguments: Any) -> None:
        where = Rectangle(*arguments[:4]).check(spec)
        tolerance, pulses_max, seconds, vset, *rest = arguments[4:]
        gates, resets = tuple(rest[:3]), tuple(rest[3:6])
        board.program(where, tolerance, pulses_max, seconds, vset, gates, resets, rest[6], rest[7])  # pyright: ignore[reportArgumentType]

    return [
        Command("PULSe:MAP", board.pulse_map, (*_RECTANGLE, Block("map"))),
        Command("PULSe:LAST?", board.last),
        Command(
            "SWEep:RUN",
            board.sweep,
            (
                *_cell(board),
                Number("compliance", "A", spec.compliance_min, spec.compliance_max),
                Number("dwell", "S", spec.dwell_min, spec.dwell_max),
                Block("points"),
            ),
        ),
        Command("FETCh:SWEep?", board.fetch_sweep),
        *setting(
            "SENSe:VMM:RANGe",
            Number("range", "A", 0.0, spec.vmm_ranges[-1], spec.vmm_ranges[-1]),
            lambda: number(board.vmm_range),
            board.set_vmm_range,
        ),
        Command("VMM:FORWard?", board.vmm_forward, (Integer("batch", low=1, high=spec.batch_max), Block("codes"))),
        Command("VMM:REVerse?", board.vmm_reverse, (Integer("batch", low=1, high=spec.batch_max), Block("codes"))),
        Command(
            "UPDate:OUTer",
            board.outer_update,
            (
                Integer("slots", low=1, high=spec.update_slots_max),
                width,
                amplitude,
                gate,
                amplitude,
                gate,
                Block("x"),
                Block("d"),
            ),
        ),
        Command("UPDate:SEED", board.seed, (Integer("seed", low=0, high=2**32 - 1),)),
        Command(
            "PROGram:VERify",
            program,
            (
                *_RECTANGLE,
                Number("tolerance", "SIE", 0.0),
                Integer("pulses_max", low=1, high=spec.count_max),
                width,
                amplitude,
                *(gate, gate, step),
                *(amplitude, amplitude, step),
                gate,
                Block("targets"),
            ),
        ),
        Command("FETCh:PROGram?", board.fetch_program),
    ]


def _diagnosis(board: ArrayBoard) -> list[Command]:
    def mode(word: str) -> None:
        if word != "LIN":
            raise ScpiError(-241, f"converter mode {word}: this board has linear converters only")

    return [
        Command("DIAGnostic:OFFSet?", board.diagnose_offset),
        Command("DIAGnostic:REFerence?", board.diagnose_reference),
        Command("DIAGnostic:OPEN?", board.diagnose_open),
        Command("ADC:MODE", mode, (Choice("mode", ("LINear", "RAMP", "SATurate"), unknown=-241),)),
        Command("ADC:MODE?", lambda: "LIN"),
    ]


def _cell(board: ArrayBoard) -> tuple[Parameter, Parameter]:
    return Integer("row", low=0, high=board.spec.rows - 1), Integer("column", low=0, high=board.spec.cols - 1)


def _attribute(board: ArrayBoard, pattern: str, parameter: Number, name: str) -> tuple[Command, Command]:
    def put(value: float) -> None:
        setattr(board, name, value)

    return setting(pattern, parameter, lambda: number(getattr(board, name)), put)


def _turns_off(on: bool) -> bool:
    return not on


_always: Callable[..., bool] = lambda *_: True  # noqa: E731
