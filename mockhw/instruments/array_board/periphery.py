"""Commands of revision 2 that this board knows and has no hardware for (board protocol, §10.8 to §10.10)."""

from __future__ import annotations

from typing import Final

from ...scpi.arguments import Block, Integer, Number, Parameter
from ...scpi.tree import Command
from .core import BoardCore
from .parameters import RECTANGLE

_RAMP: Final = Integer("ramp")
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
    "saturate": {"ADC:SATurate:LEVels": (Block("levels"),), "ADC:SATurate:LEVels?": ()},
    "ramp": {
        "ADC:RAMP:DEFine": (
            _RAMP,
            Integer("column"),
            Integer("row0"),
            Integer("steps"),
            Number("start", "A"),
            Number("slope", "V"),
        ),
        "ADC:RAMP:DEFine?": (_RAMP,),
        "ADC:RAMP:STARt": (_RAMP, Number("start", "A")),
        "ADC:RAMP:CLEar": (),
        "ADC:RAMP:ASSign": (Block("ramps"),),
        "ADC:RAMP:ASSign?": (),
        "ADC:RAMP:LEVels?": (_RAMP,),
    },
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
