"""QCoDeS ramps a parameter that has a ``step``: where it would end is judged before the first step is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qcodes.validators import Validator

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBase
    from qcodes.parameters import ParameterBase


class EndOfRamp(Validator[Any]):
    """Refuses a value that the instrument's guard would refuse, when there are steps on the way to it.

    Without a step the value is judged as it is sent; a ramp would have been half-way there.

    Parameters
    ----------
    rehearse : callable
        Does what is given without sending anything, and refuses what would be refused.
    """

    is_numeric = True

    def __init__(self, parameter: ParameterBase, rehearse: Callable[[Callable[[], object]], None]) -> None:
        self._parameter = parameter
        self._rehearse = rehearse

    def validate(self, value: Any, context: str = "") -> None:
        """Raise when the ramp would end at what is refused."""
        parameter: Any = self._parameter
        if getattr(parameter, "step", None):
            raw = parameter._from_value_to_raw_value(value)
            self._rehearse(lambda: parameter.set_raw(raw))

    def __repr__(self) -> str:
        return "<within the limits, as the end of a ramp>"


def judge_ramps(instrument: InstrumentBase, rehearse: Callable[[Callable[[], object]], None]) -> None:
    """Let every parameter of an instrument and its channels judge the end of a ramp first."""
    for parameter in instrument.parameters.values():
        if parameter.settable and hasattr(parameter, "set_raw") and hasattr(parameter, "step"):
            parameter.add_validator(EndOfRamp(parameter, rehearse))
    for part in instrument.submodules.values():
        if hasattr(part, "parameters"):
            judge_ramps(part, rehearse)  # pyright: ignore[reportArgumentType]
