"""xbarlab: control, measure, program and train memristor crossbar chips.

The map of the house (an import only goes down, DESIGN §1):

``cli``          the composition root: the only place that knows everyone
``twin``         a mock of your chip: fitted from its measurements, runs rehearsed on it
``runbooks``     what an operator runs: Markdown for people, front matter for the machine
``conformance``  the contract of an array, as checks that any array is held to
``protocols``    what we do to a chip: form, read, sweep, program
``instruments``  what the lab can do: the ``CrossbarArray`` capability, drivers, limits, stations
``analysis``     pure functions from tables and arrays to numbers and figures
``mockhw``       the other end of the cable: device physics, chips, simulated instruments

``instruments``, ``analysis`` and ``mockhw`` do not know each other; drivers and
simulated instruments meet only on the wire.

Three lines from a notebook::

    from xbarlab import open_bench, dc_sweep, DcSweepPlan
    with open_bench("mock_ta_hfo2") as bench:
        dc_sweep(bench.array, DcSweepPlan(cells="0:2,0:2"), run=None).plot()

This module stays light: every public name is imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "open_bench": "runbooks.stations",
    "run_runbook": "runbooks.runner.runner",
    "resume_run": "runbooks.runner.resume",
    "load_runbook": "runbooks.runner.schema",
    "Bench": "instruments.station.station",
    "catch_terminations": "instruments.station.terminations",
    "CrossbarArray": "instruments.capabilities",
    "PulseMap": "instruments.capabilities",
    "Sweeps": "instruments.abilities",
    "Samples": "instruments.abilities",
    "Multiplies": "instruments.abilities",
    "MultipliesReversed": "instruments.abilities",
    "UpdatesByOuterProduct": "instruments.abilities",
    "VerifiesOnBoard": "instruments.abilities",
    "Staircases": "instruments.abilities",
    "Saturates": "instruments.abilities",
    "ConvertsByRamp": "instruments.abilities",
    "Block": "instruments.block",
    "Run": "protocols.keeping.run",
    "joined": "protocols.keeping.joined",
    "Plan": "protocols.plan",
    "Forecast": "protocols.plan",
    "step": "protocols.step",
    "offer": "common.plugins",
    "DcSweepPlan": "protocols.measure.dc_sweep",
    "DcSweepResult": "protocols.measure.dc_sweep",
    "dc_sweep": "protocols.measure.dc_sweep",
    "FormingPlan": "protocols.forming.plan",
    "FormingResult": "protocols.forming.result",
    "form": "protocols.forming.forming",
    "PulsedIvPlan": "protocols.measure.pulsed_iv",
    "PulsedIvResult": "protocols.measure.pulsed_iv",
    "pulsed_iv": "protocols.measure.pulsed_iv",
    "PulseAnswerPlan": "protocols.measure.pulse_answer",
    "PulseAnswerResult": "protocols.measure.pulse_answer",
    "pulse_answer": "protocols.measure.pulse_answer",
    "PulseResponsePlan": "protocols.measure.pulse_response",
    "PulseResponseResult": "protocols.measure.pulse_response",
    "pulse_response": "protocols.measure.pulse_response",
    "HalfSelectPlan": "protocols.measure.disturb",
    "HalfSelectResult": "protocols.measure.disturb",
    "half_select_disturb": "protocols.measure.disturb",
    "StressPlan": "protocols.measure.stress_disturb",
    "StressResult": "protocols.measure.stress_disturb",
    "stress_disturb": "protocols.measure.stress_disturb",
    "WirePlan": "protocols.measure.wire_resistance",
    "WireResult": "protocols.measure.wire_resistance",
    "wire_resistance": "protocols.measure.wire_resistance",
    "VmmPlan": "protocols.measure.vmm_accuracy",
    "VmmResult": "protocols.measure.vmm_accuracy",
    "vmm_accuracy": "protocols.measure.vmm_accuracy",
    "KineticsPlan": "protocols.measure.switching_kinetics",
    "KineticsResult": "protocols.measure.switching_kinetics",
    "switching_kinetics": "protocols.measure.switching_kinetics",
    "ReadSchemesPlan": "protocols.measure.read_schemes",
    "ReadSchemesResult": "protocols.measure.read_schemes",
    "read_schemes": "protocols.measure.read_schemes",
    "EndurancePlan": "protocols.measure.endurance",
    "EnduranceResult": "protocols.measure.endurance",
    "endurance": "protocols.measure.endurance",
    "ReadNoisePlan": "protocols.measure.read_noise",
    "ReadNoiseResult": "protocols.measure.read_noise",
    "read_noise": "protocols.measure.read_noise",
    "ReadArrayPlan": "protocols.measure.read_array",
    "ReadArrayResult": "protocols.measure.read_array",
    "read_array": "protocols.measure.read_array",
    "YieldMapPlan": "protocols.measure.yield_map",
    "YieldMapResult": "protocols.measure.yield_map",
    "yield_map": "protocols.measure.yield_map",
    "IsppPlan": "protocols.programming.ispp",
    "IsppResult": "protocols.programming.ispp",
    "ispp": "protocols.programming.ispp",
    "ComparePlan": "protocols.programming.compare_plan",
    "CompareResult": "protocols.programming.compare_programming",
    "compare_programming": "protocols.programming.compare_programming",
    "ReadVerifyPlan": "protocols.programming.read_verify",
    "ReadVerifyResult": "protocols.programming.read_verify",
    "read_verify": "protocols.programming.read_verify",
    "MultilevelPlan": "protocols.programming.multilevel",
    "MultilevelResult": "protocols.programming.multilevel",
    "RetentionPlan": "protocols.programming.retention",
    "RetentionResult": "protocols.programming.retention",
    "multilevel": "protocols.programming.multilevel",
    "retention": "protocols.programming.retention",
    "AirlinePlan": "protocols.training.steps.train_lstm_airline",
    "AirlineResult": "protocols.training.steps.train_lstm_airline",
    "train_lstm_airline": "protocols.training.steps.train_lstm_airline",
    "SequencesPlan": "protocols.training.steps.train_lstm_sequences",
    "train_lstm_sequences": "protocols.training.steps.train_lstm_sequences",
    "CnnPlan": "protocols.training.steps.train_cnn_mnist",
    "train_cnn_mnist": "protocols.training.steps.train_cnn_mnist",
    "ConvLstmPlan": "protocols.training.steps.train_convlstm_sequence",
    "train_convlstm_sequence": "protocols.training.steps.train_convlstm_sequence",
    "AssociativePlan": "protocols.training.steps.train_associative_lstm",
    "AssociativeResult": "protocols.training.steps.train_associative_lstm",
    "train_associative_lstm": "protocols.training.steps.train_associative_lstm",
    "MbLstmPlan": "protocols.training.steps.train_mblstm",
    "MbLstmResult": "protocols.training.steps.train_mblstm",
    "train_mblstm": "protocols.training.steps.train_mblstm",
    "StackLstmPlan": "protocols.training.steps.train_stack_lstm",
    "StackLstmResult": "protocols.training.steps.train_stack_lstm",
    "train_stack_lstm": "protocols.training.steps.train_stack_lstm",
    "StackParserPlan": "protocols.training.steps.stack_parser_plan",
    "StackParserResult": "protocols.training.steps.train_stack_parser",
    "train_stack_parser": "protocols.training.steps.train_stack_parser",
    "FastWeightsPlan": "protocols.training.steps.train_fast_weights",
    "train_fast_weights": "protocols.training.steps.train_fast_weights",
    "RpuLstmPlan": "protocols.training.steps.train_rpu_lstm",
    "RpuLstmResult": "protocols.training.steps.train_rpu_lstm",
    "train_rpu_lstm": "protocols.training.steps.train_rpu_lstm",
    "EqualizerPlan": "protocols.training.steps.equalizer_plan",
    "EqualizerResult": "protocols.training.steps.train_equalizer",
    "train_equalizer": "protocols.training.steps.train_equalizer",
    "ClassifierResult": "protocols.training.steps.classification",
    "convert": "protocols.training.convert",
    "Converted": "protocols.training.convert",
    "program": "protocols.pretrained.program",
    "Programmed": "protocols.pretrained.program",
    "ProgramPlan": "protocols.pretrained.program_plan",
    "ChipNoise": "protocols.pretrained.chip_noise",
    "measure_noise": "protocols.pretrained.chip_noise",
    "DriftReference": "protocols.pretrained.drift",
    "InferencePlan": "protocols.pretrained.inference_plan",
    "InferenceResult": "protocols.pretrained.infer_after_a_day",
    "infer_after_a_day": "protocols.pretrained.infer_after_a_day",
    "ArrayOptimizer": "protocols.training.optimizer",
    "ArrayTrainer": "protocols.training.trainer",
    "save_checkpoint": "protocols.training.checkpoints",
    "load_checkpoint": "protocols.training.checkpoints",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its home on first use."""
    if name == "analyse":
        return import_module(".runbooks.commands.analyse_python", __name__)
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}; public names are: {', '.join(sorted([*_HOMES, 'analyse']))}"
    )


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES, "analyse"])
