"""Shipped runbooks made small: what runs that are only killed, cut or resumed change of them.

One table for the kill matrix and for the test that cuts at every boundary; they hold with and without the preset quick.
"""

from __future__ import annotations

import json
from typing import Any

SMALL: dict[str, dict[str, Any]] = {
    "first_light_1t1r": {
        "form.cells": "0:8,0:16", "yield.cells": "0:8,0:16", "iv.cells": "0:1,0:2", "iv.cycles": 2,
        "baseline.cells": "0:2,0:16", "baseline.set_starts": [0.9], "baseline.set_steps": [0.15, 0.25],
        "baseline.reset_steps": [0.2], "program.cells": "0:8,0:16",
    },
    "first_light_tio2": {
        "virgin.cells": "0:2,0:2", "form.cells": "0:2,0:2", "iv.cells": "0:1,0:2", "iv.cycles": 2, "iv.step": 0.1,
        "pulses.cells": "0:1,0:2", "pulses.pulses": 20, "pulses.read_every": 5, "pulses.cycles": 3,
        "schemes.cells": "0,0",
        "schemes.among": "0:2,0:2", "disturb.cells": "0,0", "disturb.pulses": 10, "disturb.average": 1,
        "yield.cells": "0:2,0:2",
    },
    "first_cell": {
        "virgin.cells": "0:2,0:2", "form.step_volts": 0.05, "iv.cycles": 3, "iv.step": 0.1, "pulses.pulses": 20,
        "pulses.read_every": 5, "pulses.cycles": 3,
    },
    "first_cell_pulsed": {
        "form.step_volts": 0.1, "iv.cycles": 2, "iv.points": 13, "pulses.pulses": 20, "pulses.cycles": 3,
    },
    "characterise_1t1r": {
        "form.cells": "0:8,0:8", "yield.cells": "0:8,0:8", "wire.cells": "0:8,0:8", "iv.cells": "0:1,0:2",
        "iv.cycles": 2, "kinetics.cells": "0:1,0:8", "kinetics.set_volts": [0.8, 1.0], "kinetics.reset_volts": [0.5],
        "kinetics.longest": 1e-06, "pulses.cells": "0:2,0:4", "pulses.pulses": 10, "pulses.cycles": 2,
        "program.cells": "0:8,0:8", "vmm.vectors": 10, "retention.cells": "0:2,0:8", "retention.last": 100,
        "noise.cells": "0:1,0:4", "noise.seconds": 1, "half_select.cells": "0:1,0:8",
        "half_select.volts": [0.5, 0.9], "half_select.pulses": 1000, "reading.cells": "0:1,0:8",
        "reading.volts": [0.2, 0.3], "reading.pulses": 1000, "endurance.cells": "6:8,0:4", "endurance.cycles": 100,
        "pulsed_iv.cells": "0:1,0:4", "pulsed_iv.cycles": 2, "pulsed_iv.points": 5, "answer.cells": "4:5,0:8",
        "answer.starts": 2, "answer.repeats": 1, "levels.cells": "4:5,0:4",
        "levels.levels": {"count": 3, "low": 1e-05, "high": 0.000185}, "levels.cycles": 2,
        "compare.cells": "4:6,0:8", "compare.bits": [2],
        "compare.ispp": {"set_starts": [1.0], "set_steps": [0.1], "reset_steps": [0.1], "gates": [1.6]},
        "compare.gate_staircase": {"set_starts": [0.5], "set_steps": [0.15], "reset_steps": [0.1]},
    },
    "characterise_tio2": {
        "virgin.cells": "0:3,0:3", "form.cells": "0:3,0:3", "yield.cells": "0:3,0:3", "wire.cells": "0:3,0:3",
        "iv.cells": "0:1,0:2", "iv.cycles": 2, "iv.step": 0.1, "schemes.cells": "0,0", "schemes.among": "0:2,0:2",
        "kinetics.cells": "0:1,0:2", "kinetics.set_volts": [1.6], "kinetics.reset_volts": [1.7],
        "kinetics.longest": 1e-06, "pulses.cells": "0:1,0:2", "pulses.pulses": 20, "pulses.read_every": 5,
        "pulses.cycles": 3, "program.cells": "0:2,0:2", "retention.cells": "0:2,0:2", "retention.last": 100,
        "noise.cells": "0:1,0:2", "noise.seconds": 1, "half_select.cells": "0:1,0:2", "half_select.volts": [0.6, 0.9],
        "half_select.pulses": 10, "reading.cells": "0:1,0:2", "reading.volts": [0.2, 0.3], "reading.pulses": 10,
        "endurance.cells": "1:2,0:2", "endurance.cycles": 20, "pulsed_iv.cells": "0:1,0:2", "pulsed_iv.cycles": 2,
        "pulsed_iv.points": 5, "answer.cells": "0:1,0:2", "answer.starts": 2, "answer.repeats": 1,
        "levels.cells": "0:1,0:2", "levels.levels": {"count": 3, "low": 0.00011, "high": 0.00039},
        "levels.cycles": 2, "levels.tolerance": 2e-05, "compare.cells": "0:2,0:2", "compare.bits": [2],
        "compare.ispp": {"set_starts": [1.2], "set_steps": [0.1], "reset_steps": [0.1]},
    },
    "train_lstm_simulator": {
        "airline.epochs": 6, "airline.hidden": 4, "vowels.epochs": 1, "vowels.train_examples": 100,
        "vowels.test_examples": 60, "vowels.hidden": 4,
    },
    "train_cnn_simulator": {
        "published.train_examples": 300, "published.test_examples": 60, "ours.test_examples": 60,
        "ours.train_examples": 300,
    },
    "train_lstm_airline": {
        "published.epochs": 6, "ours.epochs": 6, "adapted.epochs": 6,
    },
    "train_lstm_sequences": {
        "vowels.train_examples": 50, "vowels.test_examples": 40, "vowels.epochs": 1, "digits.train_examples": 50,
        "digits.test_examples": 40, "persons.train_examples": 50, "persons.test_examples": 40, "persons.epochs": 1,
    },
    "train_cnn_mnist": {
        "cnn.train_examples": 300, "cnn.test_examples": 60,
    },
    "train_associative_lstm": {
        f"{arm}.{key}": value
        for arm in ("copies_1", "copies_2", "copies_4", "copies_8", "lstm")
        for key, value in (("sequences", 100), ("tested", 60))
    },
    "train_nonlinear_adc": {
        **{f"{step}.programmings": 2 for step in ("sigmoid", "tanh", "softsign", "own")},
        "digits.train_examples": 50, "digits.test_examples": 40, "digits.epochs": 1, "digits.final_rounds": 1,
    },
    "train_mblstm": {
        f"{step}.{key}": value
        for step in ("iris", "digits", "digits_clipped", "digits_smooth", "digits_copies", "vowels")
        for key, value in (("train_examples", 60), ("test_examples", 40), ("epochs", 1), ("draws", 2), ("hidden", 4))
    },
    "train_fast_weights": {
        f"{arm}_{task}.{key}": value
        for arm in ("lstm", "rnn", "fast")
        for task in ("2", "4", "8", "mart")
        for key, value in (("sequences", 100), ("tested", 60))
    },
    "train_stack_lstm": {
        **{f"{arm}.{key}": value for arm in ("stack", "lstm") for key, value in (("sequences", 100), ("tested", 40))},
        "parser.sentences": 100, "parser.tested": 20, "parser.words": 6,
        **{f"{step}.epochs": 1 for step in ("stack", "lstm", "parser")},
    },
    "train_fast_weights_scratch": {
        "scratch.sequences": 100, "scratch.tested": 60, "scratch.epochs": 1, "scratch.evaluations": 1,
        "scratch.scratch": 2,
    },
    "train_rpu_lstm": {
        "task.train_characters": 1500, "task.epochs": 1, "task.hidden": 4, "task.evaluations": 1,
    },
    "train_equalizer": {
        f"{step}.{key}": value
        for step in ("nrz", "nrz_fast", "pam4", "pam4_fast")
        for key, value in (("train_examples", 128), ("epochs", 1), ("streams", 20), ("copies", 1),
                           ("stream_symbols", 50), ("sweep", []))
    },
    "infer_after_a_day": {
        f"{step}.{key}": value
        for step in ("cnn", "lstm")
        for key, value in (("train_examples", 100), ("test_examples", 40), ("epochs", 1), ("copies", 1),
                           ("program.corrections", 1), ("program.iterations_max", 10), ("program.look_average", 1))
    },
    "train_convlstm_sequence": {
        "convlstm.train_examples": 300, "convlstm.test_examples": 60,
    },
}  # fmt: skip
"""``{runbook: {"id.key": value}}``."""


def as_options(runbook: str) -> list[str]:
    """Return the changes of a runbook as ``--set`` options of the command line."""
    changes = (
        f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in SMALL[runbook].items()
    )
    return [text for change in changes for text in ("--set", change)]
