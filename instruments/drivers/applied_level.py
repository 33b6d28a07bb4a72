"""What a source-measure unit has on its terminal, as its driver and the text that people send have set it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..wire.command_guard import Commands, split_outside_quotes
from .stress import Stress

_COUNT_MAX = 1000
_REPEATS, _DUAL = 4, 7
# What a person may send that changes the level, or begins a sweep.
_HEARD = Commands(
    {
        "level": ":SOURce[1]:VOLTage[:LEVel][:IMMediate][:AMPLitude]",
        "output": ":OUTPut[1][:STATe]",
        "list": ":SOURce[1]:LIST:VOLTage",
        "append": ":SOURce[1]:LIST:VOLTage:APPend",
        "linear": ":SOURce[1]:SWEep:VOLTage:LINear",
        "step": ":SOURce[1]:SWEep:VOLTage:LINear:STEP",
        "log": ":SOURce[1]:SWEep:VOLTage:LOG",
        "run": ":INITiate[:IMMediate]",
        "stop": ":ABORt",
    }
)


class AppliedLevel:
    """Tells ``stress()`` of every change before it is sent.

    Parameters
    ----------
    stress : callable
        Who is told now.
    """

    def __init__(self, stress: Callable[[], Stress]) -> None:
        self._stress = stress
        self._on, self._volts = False, 0.0
        self._list: list[float] = []
        self._program: NDArray[np.float64] = np.zeros(0)
        self._listed = self._ran = False

    def about(self, volts: float | None = None, *, on: bool | None = None) -> None:
        """Take in a level [V] or an output that is about to be set; what is refused leaves everything as it was."""
        volts, on = self._volts if volts is None else volts, self._on if on is None else on
        before, now = self._volts if self._on else 0.0, volts if on else 0.0
        if now != before:
            self._stress().level(now)
        self._on, self._volts = on, volts

    def off(self) -> None:
        """Take in that it is at 0 V and off."""
        self.about(0.0, on=False)
        self._ran = False

    def sweep(self, volts: ArrayLike) -> None:
        """Take in a sweep through ``volts`` [V] that is about to begin; it ends switched off."""
        self._program = np.asarray(volts, dtype=np.float64)
        self._list, self._listed = self._program.tolist(), True
        self._run()

    def _run(self) -> None:
        if self._program.size:
            self._stress().sweep(self._program)
            self._on, self._ran, self._volts = False, True, float(self._program[-1])

    def heard(self, text: str) -> None:
        """Take in text that is about to be sent; it has been checked."""
        for what, rest in _HEARD.found(text):
            words = [word.strip() for word in split_outside_quotes(rest, ",")]
            # What cannot be read here has been read by who checked it, or is refused by the instrument.
            with suppress(ValueError):
                self._take(what, words)

    def _take(self, what: str, words: list[str]) -> None:
        if what == "level":
            self.about(_HEARD.number(words[0], "V"))
        elif what == "output":
            self.about(on=words[0].upper() in {"1", "ON"})
        elif what == "run":
            self._run()
        elif what == "stop":
            # A sweep that was stopped stays where it was, switched on for all that is known.
            self._on = self._on or self._ran
        elif what in {"list", "append"}:
            levels = [_HEARD.number(word, "V") for word in words]
            self._list = levels if what == "list" else [*self._list, *levels]
            if self._listed:  # a sweep of the driver's own goes through the list there is
                self._program = np.array(self._list)
        else:
            # Start, stop, points, delay, repeats, ranging, what ends it, and whether it goes back.
            ends = [_HEARD.number(word, "V") for word in words[:2]]
            back = ends[::-1] if len(words) > _DUAL and words[_DUAL].upper() in {"1", "ON"} else []
            times = int(float(words[_REPEATS])) if len(words) > _REPEATS else 1
            self._program = np.tile([*ends, *back], min(max(times, 1), _COUNT_MAX))
            self._listed = False
