"""What can be analysed: by name, which kinds of measurement it takes, and what the columns are called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..measured_data.measured import Measured
    from .finding import Finding


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One analysis.

    Attributes
    ----------
    about : str
        What comes out, for people.
    kinds : tuple of str
        Kinds of measurement it takes (:mod:`..measured_data.kinds`); columns without a description are of the first
        that they fit.
    home : str
        Module and function.
    example : str
        Command line after ``xbarlab analyse NAME``.
    """

    about: str
    kinds: tuple[str, ...]
    home: str
    example: str

    def run(self, measured: Measured) -> Finding:
        """Analyse one measurement of one of the kinds."""
        module, _, function = self.home.partition(":")
        analyse: Callable[[Measured], Finding] = getattr(import_module(f".{module}", __package__), function)
        return analyse(measured)


SUBJECTS: dict[str, Subject] = {
    "iv": Subject(
        about="I–V loops: V_SET and V_RESET with spread within and between cells, R_on and R_off",
        kinds=("iv_sweep",),
        home="iv:analyse_iv",
        example="sweeps.csv --volts 'U (V)' --amps 'I (uA)' --cell device",
    ),
    "pulses": Subject(
        about="single pulses of rising amplitude, or trains of equal ones: at which volts cells move, and how far",
        kinds=("pulse_sweep", "pulse_train"),
        home="pulses:analyse_pulses",
        example="train.csv --volts V --ohms 'R (kohm)' --width '=200 ns'",
    ),
    "retention": Subject(
        about="the same cells before and after a time or a bake: shift and spread of conductance; over several times "
        "the drift exponent, σ(ΔG) and what is to be expected later",
        kinds=("bake",),
        home="retention:analyse_retention",
        example="bake.csv --column before=R0:kohm --column after=R1:kohm --time '=1800 s' --temperature '=80 °C'",
    ),
    "endurance": Subject(
        about="SET/RESET cycling: the window, its spread from cycle to cycle and cell to cell, the first failure",
        kinds=("cycling",),
        home="endurance:analyse_endurance",
        example="cycles.csv --cell address --column cycle=n --column hrs='Roff (ohm)' --column lrs='Ron (ohm)'",
    ),
    "noise": Subject(
        about="conductance read again and again: σ_I/I over the instrument's floor, 1/f exponent, telegraph noise",
        kinds=("noise",),
        home="noise:analyse_noise",
        example="trace.csv --amps 'I (uA)' --read-volts 0.2V --rate 400Hz --floor at_0V.csv",
    ),
    "levels": Subject(
        about="cells programmed to every level again and again: how many levels are apart, and what limits them; or "
        "programmed once into windows: where each level ended, how many would be read as another one",
        kinds=("reprogramming", "write_verify"),
        home="levels:analyse_levels",
        example="levels.csv --cell die --column cycle=n --column level=k --siemens 'G (uS)'",
    ),
    "forming": Subject(
        about="forming: how many cells formed, and at what voltage",
        kinds=("forming",),
        home="forming:analyse_forming",
        example="forming.csv --volts 'V (V)' --column after='R (kohm)' --column success=ok",
    ),
    "verify": Subject(
        about="programming with read-verify: pulses and success, in all and per level",
        kinds=("write_verify",),
        home="verify:analyse_verify",
        example="ispp.csv --column low='lo (uS)' --column high='hi (uS)' --column after='G (uS)' --column pulses=n",
    ),
    "map": Subject(
        about="one reading of every cell of an array: the map, and which lines differ from the others",
        kinds=("map",),
        home="array_map:analyse_map",
        example="map.csv --row r --col c --ohms 'R (ohm)'",
    ),
}
"""Name -> analysis, in the order of the help."""
