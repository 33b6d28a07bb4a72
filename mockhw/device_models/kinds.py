"""What a profile's ``model:`` names: which parameters it takes and how cells are made of them.

The compiled physics is imported when cells are made, so that reading a profile stays quick.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ...common.errors import RefusedError
from .behavioural_parameters import GateVoltageParameters, StepParameters
from .filament.parameters import FilamentParameters, Section
from .graded.parameters import GradedParameters

if TYPE_CHECKING:
    from .base import DeviceModel


@dataclass(frozen=True, slots=True)
class ModelKind:
    """A device model: ``make(parameters, size, seed)`` gives ``size`` cells with ``parameters`` of that class.

    ``make`` is None for cells that live only in the network of a passive chip.
    """

    parameters: type[Section]
    make: Callable[[Any, int, int], DeviceModel] | None


def kind_of(name: str, thing: Any) -> ModelKind:
    """Return what is offered under ``name``: a kind, or a model class that says its ``Parameters``."""
    if isinstance(thing, ModelKind):
        return thing
    parameters = getattr(thing, "Parameters", None)
    if isinstance(thing, type) and isinstance(parameters, type) and issubclass(parameters, Section):
        return ModelKind(parameters, cast("Callable[[Any, int, int], DeviceModel]", thing))
    raise RefusedError(
        f"device model {name!r} is no class with Parameters: give it `class Parameters(Section)` with quantities, and "
        "make it of (parameters, size, seed)"
    )


def _filament(parameters: FilamentParameters, size: int, seed: int) -> DeviceModel:
    from .filament.model import FilamentModel

    return FilamentModel(parameters, size, seed)


def _gate_voltage(parameters: GateVoltageParameters, size: int, seed: int) -> DeviceModel:
    from .gate_voltage import GateVoltageModel

    return GateVoltageModel(parameters, size, seed)


def _step(parameters: StepParameters, size: int, seed: int) -> DeviceModel:
    from .step_devices import StepModel

    return StepModel(parameters, size, seed)


FILAMENT = ModelKind(FilamentParameters, _filament)
"""One conductive filament behind a transistor: voltage, time, wear, noise, retention (published HfO2 1T1R arrays)."""

GATE_VOLTAGE = ModelKind(GateVoltageParameters, _gate_voltage)
"""A SET writes a conductance that the gate voltage says, a RESET the least one; with noise, without time."""

STEP = ModelKind(StepParameters, _step)
"""The abstract step devices of the resistive-processing-unit literature: one pulse, one small step of a weight."""

GRADED = ModelKind(GradedParameters, None)
"""Cells of a passive TiO2 crossbar, graded switching by voltage and time, in the network of their lines."""
