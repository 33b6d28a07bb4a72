"""The steps a runbook may name: each a plan and the protocol that carries it out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ..common.errors import RefusedError, unknown
from .keeping.run import Result
from .plan import Plan


@dataclass(frozen=True, slots=True)
class StepKind:
    """A runbook step: ``run(array, plan, run)`` carries out a plan of class ``plan``."""

    name: str
    about: str
    plan: type[Plan]
    run: Callable[..., Result]


_STEPS: dict[str, tuple[str, str, str, str]] = {
    "read_array": ("measure.read_array", "ReadArrayPlan", "read_array", "read a block and map its conductance"),
    "yield_map": (
        "measure.yield_map",
        "YieldMapPlan",
        "yield_map",
        "classify every cell: switching, open, short, stuck, unformed",
    ),
    "forming": (
        "forming.forming",
        "FormingPlan",
        "form",
        "form virgin cells by rising pulses or a current-limited ramp, with a stop rule",
    ),
    "dc_sweep": ("measure.dc_sweep", "DcSweepPlan", "dc_sweep", "quasi-static I-V loops of selected cells"),
    "pulse_response": (
        "measure.pulse_response",
        "PulseResponsePlan",
        "pulse_response",
        "potentiation and depression by trains of equal pulses",
    ),
    "half_select_disturb": (
        "measure.disturb",
        "HalfSelectPlan",
        "half_select_disturb",
        "write cells many times and follow the others on their lines",
    ),
    "read_schemes": (
        "measure.read_schemes",
        "ReadSchemesPlan",
        "read_schemes",
        "read the same cells in every bias scheme",
    ),
    "ispp": ("programming.ispp", "IsppPlan", "ispp", "the incremental-staircase baseline, best of a scan"),
    "read_verify": ("programming.read_verify", "ReadVerifyPlan", "read_verify", "program cells to target conductances"),
    "train_lstm_airline": (
        "training.steps.train_lstm_airline",
        "AirlinePlan",
        "train_lstm_airline",
        "train an LSTM in situ to forecast airline passengers",
    ),
    "train_lstm_sequences": (
        "training.steps.train_lstm_sequences",
        "SequencesPlan",
        "train_lstm_sequences",
        "train an LSTM in situ to classify sequences",
    ),
    "train_cnn_mnist": (
        "training.steps.train_cnn_mnist",
        "CnnPlan",
        "train_cnn_mnist",
        "train a 1,015-weight CNN in situ on handwritten digits",
    ),
    "train_convlstm_sequence": (
        "training.steps.train_convlstm_sequence",
        "ConvLstmPlan",
        "train_convlstm_sequence",
        "train an 850-weight convolutional LSTM in situ on sequences of digits",
    ),
}


def step_names() -> list[str]:
    """Return the names a runbook may use."""
    return sorted(_STEPS)


def step_about(name: str) -> str:
    """Return one line on what a step does, without importing it."""
    return _STEPS[name][3]


def step_kind(name: str) -> StepKind:
    """Return a step by name; an unknown one is refused with the alternatives."""
    if name not in _STEPS:
        raise RefusedError(unknown("step", name, _STEPS))
    module, plan, function, about = _STEPS[name]
    home: Any = import_module(f".{module}", __package__)
    return StepKind(name, about, getattr(home, plan), getattr(home, function))
