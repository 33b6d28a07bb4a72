"""Diagnosis and converter modes of the array board (board protocol, §4.9 and §4.10)."""

from __future__ import annotations

from typing import Final

from ...scpi.arguments import Choice
from ...scpi.device import Hold
from ...scpi.errors import ScpiError
from ...scpi.tree import Command, number
from .core import BoardCore

_DIAGNOSIS_SECONDS: Final = 1e-3


class Diagnosis:
    """What ``DIAGnostic`` and ``ADC`` do."""

    def __init__(self, board: BoardCore) -> None:
        self._board = board

    def commands(self) -> list[Command]:
        """Return the commands of diagnosis."""

        def mode(word: str) -> None:
            if word != "LIN":
                raise ScpiError(-241, f"converter mode {word}: this board has linear converters only")

        return [
            Command("DIAGnostic:OFFSet?", self.offset),
            Command("DIAGnostic:REFerence?", self.reference),
            Command("DIAGnostic:OPEN?", self.open),
            Command("ADC:MODE", mode, (Choice("mode", ("LINear", "RAMP", "SATurate"), unknown=-241),)),
            Command("ADC:MODE?", lambda: "LIN"),
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
