"""The two files of an aihwkit preset: numbers as JSON, and a Python module that makes configurations of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .aihwkit_numbers import AihwkitNumbers

MODULE, NUMBERS = "aihwkit_preset.py", "aihwkit_preset.json"

PRESET = '''"""A chip as xbarlab measured it, for aihwkit: its numbers and what they mean are in aihwkit_preset.json.

rpu_config() trains on its pulses, inference_config() runs a network on its programmed conductances.
"""

import json
from pathlib import Path

from aihwkit.inference import SinglePairConductanceConverter
from aihwkit.inference.noise.custom import StateIndependentNoiseModel
from aihwkit.simulator.configs import InferenceRPUConfig, PiecewiseStepDevice, SingleRPUConfig
from torch import randn_like

NUMBERS = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))


class MeasuredNoise(StateIndependentNoiseModel):
    """Programming noise as a polynomial of g, power-law drift, 1/f read noise; ν keeps its sign."""

    def generate_drift_coefficients(self, g_target):
        return self.drift_scale * (self.drift_nu_mean + self.drift_nu_std * randn_like(g_target))


def numbers(part):
    """Return the numbers of "device" or "noise"; the run has to hold them."""
    if NUMBERS[part] is None:
        raise ValueError("; ".join(NUMBERS["left_out"]))
    return dict(NUMBERS[part])


def device():
    """Return the pulsed device: steps at nodes of the range, spread in a cell and between cells, bounds."""
    return PiecewiseStepDevice(**numbers("device"))


def rpu_config():
    """Return a configuration that trains on this device."""
    return SingleRPUConfig(device=device())


def noise_model():
    """Return the noise of programmed conductances."""
    found = numbers("noise")
    pair = SinglePairConductanceConverter(g_max=found.pop("g_max"), g_min=found.pop("g_min"))
    return MeasuredNoise(g_converter=pair, **found)


def inference_config():
    """Return a configuration of inference with this noise."""
    return InferenceRPUConfig(noise_model=noise_model())
'''


def preset_numbers(found: AihwkitNumbers, about: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of the JSON file."""
    return {
        "made_by": "xbarlab",
        "of": dict(about),
        "device": found.device,
        "device_conductance_S": found.conductance,
        "noise": found.noise,
        "notes": found.notes,
        "left_out": found.left_out,
    }
