"""The thermometer a station may have: a parameter of any of its instruments that is a temperature."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ...common.errors import RefusedError, unknown
from ..errors import InstrumentError

KELVIN = frozenset({"K", "kelvin"})
CELSIUS = frozenset({"°C", "C", "degC", "celsius"})
ZERO_CELSIUS = 273.15


class Thermometer:
    """Reads a temperature [K] when it is called.

    Parameters
    ----------
    parameter : Parameter of QCoDeS, in K or °C
    name : str
        ``instrument.parameter``, for messages.
    """

    def __init__(self, parameter: Any, name: str) -> None:
        self.name = name
        self._parameter = parameter
        self._offset = 0.0 if parameter.unit in KELVIN else ZERO_CELSIUS

    def __call__(self) -> float:
        """Return the temperature [K].

        Raises
        ------
        InstrumentError
            What was read is no temperature.
        """
        said = self._parameter.get()
        try:
            kelvin = float(said) + self._offset
        except (TypeError, ValueError):
            kelvin = math.nan
        if not (math.isfinite(kelvin) and kelvin > 0.0):
            raise InstrumentError(f"thermometer {self.name} reads {said!r}: look whether its sensor is connected")
        return kelvin


def find_thermometer(instruments: Mapping[str, Any], name: str, where: str) -> Thermometer:
    """Return the thermometer ``instrument.parameter``, or ``instrument.submodule.parameter``, of opened instruments.

    Raises
    ------
    RefusedError
        There is no such parameter, or its unit is none of temperature.
    """
    first, *inner = name.split(".")
    thing: Any = instruments[first]
    path = first
    for part in inner[:-1]:
        submodules = thing.submodules
        if part not in submodules:
            raise RefusedError(f"{where}: {unknown(f'submodule of {path}', part, submodules)}")
        thing, path = submodules[part], f"{path}.{part}"
    parameters = thing.parameters
    if inner[-1] not in parameters:
        raise RefusedError(f"{where}: {unknown(f'parameter of {path}', inner[-1], parameters)}")
    found = parameters[inner[-1]]
    if found.unit not in KELVIN | CELSIUS:
        raise RefusedError(
            f"{where}: {name} is in {found.unit!r}: name a parameter in K or °C, or give it its unit under parameters"
        )
    return Thermometer(found, name)
