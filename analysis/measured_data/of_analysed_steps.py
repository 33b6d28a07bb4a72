"""Steps of our own runs that an analysis of data of any bench takes, and no model does again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .measures import UNKNOWN
from .protocols import Bake, Cycling, IvSweep, Noise, PulseSweep, Reprogramming
from .ran_step import Made, RanStep, Structure, gate_of, gates_of, what_all_say
from .write_algorithms import Pulse


def _read_noise(step: RanStep, structure: Structure) -> list[Made]:
    frame = step.frame
    volts = step.plan.get("volts") or step.read_volts
    span = frame.groupby(["row", "col"])["time_s"].agg(["min", "max", "count"])
    rate = float(((span["count"] - 1) / (span["max"] - span["min"])).median())
    table = frame[["row", "col"]].assign(conductance=frame["current_A"] / volts, floor=frame["floor_current_A"] / volts)
    said: dict[str, Any] = {**what_all_say(step), "read_volts": volts}
    protocol = Noise(kind="noise", rate=rate, **said)
    return [("", protocol, table.assign(index=table.groupby(["row", "col"]).cumcount()))]


def _retention(step: RanStep, structure: Structure) -> list[Made]:
    frame = step.frame
    table = frame[["row", "col", "level"]].assign(
        conductance=frame["conductance_S"], time=frame["seconds_s"], temperature=frame["temperature_K"]
    )
    # A thermometer wanders from read to read: the bake is at what it said in the middle.
    table["temperature"] = table["temperature"].median()
    table = table[np.isfinite(table["conductance"])]
    first = table.loc[table.groupby(["row", "col"])["time"].idxmin()]
    table = table.merge(
        first[["row", "col", "conductance"]].rename(columns={"conductance": "before"}), on=["row", "col"]
    )
    table = table.rename(columns={"conductance": "after"})
    asked = step.plan.get("extrapolate_to")
    return [("", Bake(kind="bake", extrapolate_to=asked, programmed=_how(step), **what_all_say(step)), table)]


def _how(step: RanStep) -> str:
    return "taken as they were found" if step.plan.get("prepare") == "found" else "programmed to levels by read–verify"


def _endurance(step: RanStep, structure: Structure) -> list[Made]:
    from pandas import concat

    plan, frame = step.plan, step.frame
    halves = [
        frame[["row", "col", "cycle"]].assign(state=state, conductance=frame[name])
        for state, name in (("HRS", "off_S"), ("LRS", "on_S"))
    ]
    table = concat(halves)
    pulses = {
        way: Pulse(volts=plan[f"{way}_volts"], gate=gate_of(plan[f"{way}_gate"], structure), width=plan["width"])
        for way in ("reset", "set")
    }
    return [("", Cycling(kind="cycling", **pulses, **what_all_say(step)), table[np.isfinite(table["conductance"])])]


def _multilevel(step: RanStep, structure: Structure) -> list[Made]:
    frame = step.frame
    table = frame[["row", "col", "cycle", "level", "pulses"]].assign(
        target=frame["target_S"], conductance=frame["conductance_S"], end=frame["end_S"], again=frame["again_S"],
        accepted=frame["accepted"].astype(float), width=step.plan["width"],
    )  # fmt: skip
    return [("", Reprogramming(kind="reprogramming", settle=step.plan["settle"], **what_all_say(step)), table)]


def _pulsed_iv(step: RanStep, structure: Structure) -> list[Made]:
    """Return the legs away from 0 V as single pulses of rising amplitude, and the loops where the current was read."""
    plan, frame = step.plan, step.frame
    before = frame.groupby(["row", "col"])["conductance_S"].shift()
    frame = frame.assign(before=before)
    made: list[Made] = []
    for way, leg in (("set", "+out"), ("reset", "-out")):
        part = frame[(frame["leg"] == leg) & frame["before"].notna()]
        if not len(part):
            continue
        table = part[["row", "col", "before"]].assign(
            repeat=part["cycle"], volts=part["volts_V"], gate=gates_of(plan[f"{way}_gate"], structure),
            width=part["width_s"], after=part["conductance_S"],
        )  # fmt: skip
        made.append((f".{way}", _sweep(step, way), table))
    current = frame[np.isfinite(frame["current_A"])]
    if len(current):
        table = current[["row", "col"]].assign(
            loop=current["cycle"], volts=current["volts_V"], current=current["current_A"]
        )
        protocol = IvSweep(
            kind="iv_sweep", positive_gate=gate_of(plan["set_gate"], structure), dwell=plan["width"],
            negative_gate=gate_of(plan["reset_gate"], structure), compliance=plan.get("compliance"),
            **what_all_say(step),
        )  # fmt: skip
        made.append((".loops", protocol, table))
    return made


def _sweep(step: RanStep, way: str) -> PulseSweep:
    said: Any = {"polarity": way, "swept": "volts", "stop_beyond": UNKNOWN, "preparation": None}
    return PulseSweep(kind="pulse_sweep", **said, **what_all_say(step))


def _kinetics(step: RanStep, structure: Structure) -> list[Made]:
    """Return the pulses of one polarity and width as a sweep of amplitude; cells were brought back before each."""
    frame = step.frame[step.frame["before_S"].notna() & step.frame["after_S"].notna()]
    made: list[Made] = []
    for way, part in (("set", frame[frame["volts_V"] > 0.0]), ("reset", frame[frame["volts_V"] < 0.0])):
        for width, pulses in part.groupby("width_s"):
            one = pulses.sort_values(["row", "col", "repeat", "volts_V"], key=np.abs, kind="stable")
            table = one[["row", "col", "repeat"]].assign(
                volts=one["volts_V"], gate=gates_of(step.plan.get(f"{way}_gate", np.nan), structure), width=width,
                before=one["before_S"], after=one["after_S"],
            )  # fmt: skip
            made.append((f".{way}_{float(width) * 1e9:.0f}ns", _sweep(step, way), table))  # pyright: ignore[reportArgumentType]
    return made


ANALYSED: dict[str, Callable[[RanStep, Structure], list[Made]]] = {
    "read_noise": _read_noise,
    "retention": _retention,
    "endurance": _endurance,
    "multilevel": _multilevel,
    "pulsed_iv": _pulsed_iv,
    "switching_kinetics": _kinetics,
}
"""Step -> what it measured."""
