"""Diagnosis, converter modes, and the periphery that this board lacks (board protocol, §4.9, §10.8 to §10.10)."""

from __future__ import annotations

from typing import Final

from ...scpi.arguments import Block, Choice, Integer, Number, Parameter
from ...scpi.device import Hold
from ...scpi.errors import ScpiError
from ...scpi.tree import Command, number
from .core import BoardCore
from .parameters import RECTANGLE

_DIAGNOSIS_SECONDS: Final = 1e-3
_MODES: Final = {"RAMP": "ramp", "SAT": "saturate"}
_COMMANDS: Final[dict[str, dict[str, tuple[Parameter, ...]]]] = {
    "decay": {
        "UPDate:DECay": (
            *RECTANGLE,
            Number("keep"),
            Integer("pulses_max"),
            Number("width", "S"),
            *(Number(name, "V") for name in ("vset", "gset", "vreset", "greset")),
            *(Number(name, "SIE") for name in ("gup", "gdown")),
            Block("reference"),
        ),
        "FETCh:DECay?": (),
    },
    "adc_bits": {"ADC:BITS": (Integer("bits"),), "ADC:BITS?": ()},
}


def periphery_commands(board: BoardCore) -> list[Command]:
    """Return the commands that a board of revision 2 must know and refuses."""
    if board.spec.revision < 2:
        return []

    def refused(*_: object) -> None:
        raise AssertionError("the parser refuses it")

    return [
        Command(pattern, refused, parameters, missing=board.spec.missing(feature))
        for feature, commands in _COMMANDS.items()
        for pattern, parameters in commands.items()
    ]


class Diagnosis:
    """What ``DIAGnostic`` does."""

    def __init__(self, board: BoardCore) -> None:
        self._board = board

    def commands(self) -> list[Command]:
        """Return the commands of diagnosis."""
        board = self._board

        def mode(word: str) -> None:
            needed = _MODES.get(word)
            if word != "LIN" and needed not in board.spec.supports:
                others = [mode for mode, feature in _MODES.items() if feature in board.spec.supports]
                raise ScpiError(-241, f"converter mode {word}: this board has {', '.join(['LIN', *others])} only")
            board.adc_mode = word

        return [
            Command("DIAGnostic:OFFSet?", self.offset),
            Command("DIAGnostic:REFerence?", self.reference),
            Command("DIAGnostic:OPEN?", self.open),
            Command("ADC:MODE", mode, (Choice("mode", ("LINear", "RAMP", "SATurate"), unknown=-241),)),
            Command("ADC:MODE?", lambda: board.adc_mode),
        ]

    def offset(self) -> Hold:
        """``DIAGnostic:OFFSet?``."""
        self._board.may_begin()
        point = self._board.read_point
        return self._board.measure("DIAGNOSIS", _DIAGNOSIS_SECONDS, 1, lambda: number(self._board.reads.offset(point)))

    def reference(self) -> Hold:
        """``DIAGnostic:REFerence?``."""
        self._board.may_begin()
        nominal = self._board.spec.reference_ohm
        return self._board.measure(
            "DIAGNOSIS", _DIAGNOSIS_SECONDS, 1, lambda: f"{number(self._board.reads.reference())},{number(nominal)}"
        )

    def open(self) -> Hold:
        """``DIAGnostic:OPEN?``."""
        if self._board.output:
            raise ScpiError(-221, "the array is connected; OUTPut OFF first")
        self._board.may_start()
        return self._board.measure("DIAGNOSIS", _DIAGNOSIS_SECONDS, 1, lambda: number(self._board.reads.open_ohm()))
