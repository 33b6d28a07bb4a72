"""Steps of our own runs as measured data: the same tables and typed protocols as those of any other bench.

A step is told by tables and numbers; who reads the folder of a run lies above.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...common.errors import RefusedError
from .derive import derive
from .measured import Measured
from .of_analysed_steps import ANALYSED
from .protocols import Cycling, Forming, IvSweep, Map, PulseTrain, WriteVerify
from .ran_step import Made, RanStep, Structure, gate_of, gates_of, what_all_say
from .write_algorithms import Pulse, Ramp, ReadVerify

LICENCE = "own measurement"
_FORMED, _UNFORMED = "formed", "unformed"
_ACCEPTED, _NOT_ATTEMPTED = "accepted", "not attempted"


@dataclass(frozen=True, kw_only=True)
class RunTold:
    """The run the steps belong to; ``cols`` of the array number its cells, row by row."""

    title: str
    source: str
    structure: Structure
    cols: int
    chip: str = ""
    date: str = ""


def measured_of_steps(steps: list[RanStep], run: RunTold, *, replayable: bool = True) -> list[Measured]:
    """Return what the steps of a run measured; others are left out.

    With ``replayable`` only what can be done again on a model, else also what is only good for an analysis.

    A programming step gives its outcome, and as ``id.pulses`` every pulse with the reading after it; a scan of
    staircases gives a measurement for each.

    Raises
    ------
    RefusedError
        None of the steps can.
    """
    made: list[Measured] = []
    known = _REPLAYED if replayable else {**_REPLAYED, **ANALYSED}
    for step in steps:
        take = known.get(step.step)
        for suffix, protocol, lines in take(step, run.structure) if take is not None and step.frame is not None else ():
            if not len(lines):
                continue
            name = f"{step.id}{suffix}"
            table = lines.reset_index(drop=True)
            table["cell"] = table["row"].astype(np.int64) * run.cols + table["col"].astype(np.int64)
            made.append(
                Measured(
                    id=name,
                    protocol=protocol,
                    table=derive(table, protocol, where=name),
                    title=run.title,
                    source=run.source,
                    licence=LICENCE,
                    structure=run.structure,
                    chip=run.chip,
                    date=run.date,
                )
            )
    if not made:
        there = ", ".join(f"{step.id} ({step.step})" for step in steps) or "none"
        what, able = ("replayed", "replayable") if replayable else ("analysed like data", "those that can")
        raise RefusedError(
            f"{run.title}: no step that is done can be {what}: steps are {there}; {able} are {', '.join(known)}"
        )
    return made


def _map(step: RanStep, structure: Structure) -> list[Made]:
    table = step.frame[["row", "col"]].assign(conductance=step.frame["conductance_S"])
    volts = step.plan.get("volts")
    common: dict[str, Any] = {**what_all_say(step), "read_volts": step.read_volts if volts is None else volts}
    return [("", Map(kind="map", **common), table)]


def _forming(step: RanStep, structure: Structure) -> list[Made]:
    plan, frame = step.plan, step.frame[step.frame["outcome"].isin([_FORMED, _UNFORMED])]
    ramp = plan["method"] == "ramp"
    formed = frame["outcome"] == _FORMED
    gate = gate_of(plan["gate"], structure)
    table = frame[["row", "col"]].assign(
        volts=frame["v_form_V"].where(formed, plan["stop_volts"]),
        gate=gates_of(plan["gate"], structure),
        after=frame["after_S"],
        success=formed.astype(float),
    )
    protocol = Forming(
        kind="forming",
        method=plan["method"],
        width=plan["dwell"] if ramp else plan["width"],
        compliance=plan["compliance"] if ramp else None,
        start_volts=plan["start_volts"],
        step_volts=plan["step_volts"],
        most_volts=plan["stop_volts"],
        gate=gate,
        gate_step=0.0,
        formed_above=plan["formed_above"],
        **what_all_say(step),
    )
    return [("", protocol, table)]


def _yield_map(step: RanStep, structure: Structure) -> list[Made]:
    from pandas import concat

    plan, frame = step.plan, step.frame
    where = frame[["row", "col"]]
    seen = frame["after_reset_S"].notna() & frame["after_set_S"].notna()
    halves = [
        where[seen].assign(state=state, cycle=0, conductance=frame[name][seen])
        for state, name in (("HRS", "after_reset_S"), ("LRS", "after_set_S"))
    ]
    pulses = {
        way: Pulse(volts=plan[f"{way}_volts"], gate=gate_of(plan[f"{way}_gate"], structure), width=plan["width"])
        for way in ("reset", "set")
    }
    return [("", Cycling(kind="cycling", **pulses, **what_all_say(step)), concat(halves))]


def _dc_sweep(step: RanStep, structure: Structure) -> list[Made]:
    plan, frame = step.plan, step.frame
    table = frame[["row", "col", "point"]].assign(
        loop=frame["cycle"], volts=frame["volts_V"], current=frame["current_A"]
    )
    protocol = IvSweep(
        kind="iv_sweep",
        positive_gate=gate_of(plan["set_gate"], structure),
        negative_gate=gate_of(plan["reset_gate"], structure),
        compliance=plan["compliance"],
        negative_compliance=plan["reset_compliance"],
        dwell=plan["dwell"],
        **what_all_say(step),
    )
    return [("", protocol, table)]


def _pulse_response(step: RanStep, structure: Structure) -> list[Made]:
    plan, frame = step.plan, step.frame
    sets = frame["volts_V"] > 0.0
    given = frame.groupby(["row", "col", "cycle"])["pulse"].diff().fillna(0).astype(int)
    table = frame[["row", "col"]].assign(
        volts=frame["volts_V"],
        gate=gates_of(np.where(sets, plan["set_gate"], plan["reset_gate"]), structure),
        width=plan["width"],
        count=given,
        conductance=frame["conductance_S"],
    )
    return [("", _train(step), table)]


def _train(step: RanStep) -> PulseTrain:
    return PulseTrain(
        kind="pulse_train", width=step.plan["width"], scheme=step.plan.get("scheme") or "", **what_all_say(step)
    )


def _windows(table: Any, target: Any, window: float) -> Any:
    return table.assign(low=target - window, high=target + window)


def _read_verify(step: RanStep, structure: Structure) -> list[Made]:
    plan, tried = step.plan, step.frame[step.frame["verdict"] != _NOT_ATTEMPTED]
    tried = tried[tried["target_S"].notna()]
    table = _windows(tried[["row", "col"]], tried["target_S"], plan["window"]).assign(
        after=tried["end_S"], pulses=tried["pulses"], success=(tried["verdict"] == _ACCEPTED).astype(float)
    )
    by_host = (tried["sets"] + tried["resets"] == tried["pulses"]).all()
    if by_host:  # a board's own loop tells only the sum
        table = table.assign(sets=tried["sets"], resets=tried["resets"])
    algorithm = _algorithm(step, structure, predicts=True)
    made: list[Made] = [("", WriteVerify(kind="write_verify", algorithm=algorithm, **what_all_say(step)), table)]
    if step.data is not None and by_host:
        made.append((".pulses", _train(step), _every_pulse(step, structure)))
    return made


def _every_pulse(step: RanStep, structure: Structure) -> Any:
    """Return the first reading of every cell, and one for each pulse it was given."""
    data = step.data.sort_values(["row", "col", "cycle"], kind="stable")
    first = data.groupby(["row", "col"]).cumcount() == 0
    data = data[(first | (data["volts"] != 0.0)) & data["target"].notna() & data["conductance"].notna()]
    return data[["row", "col", "volts", "conductance"]].assign(
        gate=gates_of(data["gate"], structure), width=step.plan["width"]
    )


def _algorithm(step: RanStep, structure: Structure, *, predicts: bool, **other: Mapping[str, float]) -> ReadVerify:
    """Return the staircase of a plan; ``other`` has what a scan put in the place of start and step."""
    plan, ramps = step.plan, dict[str, Ramp]()
    for way, sign in (("set", 1.0), ("reset", -1.0)):
        asked = plan[way]
        knob = asked["knob"] or step.meta.get(f"{way}_knob") or _knob(step, sign, structure)
        turned, held = (asked["gate"], max(asked["volts"])) if knob == "gate" else (asked["volts"], asked["gate"][1])
        said: dict[str, Any] = {
            "knob": knob,
            "start": min(turned),
            "stop": max(turned),
            "step": asked["step"],
            "held": gate_of(held, structure) if knob == "volts" else held,
            **other.get(way, {}),
        }
        ramps[way] = Ramp(**said)
    return ReadVerify(
        method="read_verify",
        set=ramps["set"],
        reset=ramps["reset"],
        width=plan["width"],
        predicts=predicts,
        hits=plan["hits"],
        reads=plan["reads"],
        pulses_most=plan["pulses_max"],
        reversals_most=plan["reversals_max"],
        stalls_most=plan["stalls_max"],
    )


def _knob(step: RanStep, sign: float, structure: Structure) -> str:
    """Return which voltage turned: what the plan leaves to the array is seen in its pulses, where they were kept."""
    if structure == "passive":
        return "volts"
    data = step.data
    if data is not None and {"volts", "gate"} <= set(data.columns):
        given = data[sign * data["volts"] > 0.0]
        if given["gate"].nunique() > 1 or given["volts"].nunique() > 1:
            return "gate" if given["gate"].nunique() >= given["volts"].nunique() else "volts"
    return "gate"


def _ispp(step: RanStep, structure: Structure) -> list[Made]:
    if step.data is None:
        return []
    made: list[Made] = []
    for index, scanned in enumerate(step.frame.itertuples()):
        data = step.data[_of_staircase(step.data, index, scanned) & step.data["target"].notna()]
        table = _windows(data[["row", "col"]], data["target"], step.plan["window"]).assign(
            after=data["conductance"], pulses=data["pulses"]
        )
        algorithm = _algorithm(
            step, structure, predicts=False,
            set={"start": float(scanned.set_start_V), "step": float(scanned.set_step_V)},
            reset={"step": float(scanned.reset_step_V)},
        )  # fmt: skip
        protocol = WriteVerify(kind="write_verify", algorithm=algorithm, **what_all_say(step))
        made.append((f".{index}", protocol, table))
    return made


def _of_staircase(data: Any, index: int, scanned: Any) -> Any:
    """Return which lines belong to one staircase of a scan; versions before numbered them."""
    if "combination" in data.columns:
        return data["combination"] == index
    settings = ("set_start", "set_step", "reset_step")
    return np.logical_and.reduce([np.isclose(data[name], getattr(scanned, f"{name}_V")) for name in settings])


_REPLAYED: dict[str, Callable[[RanStep, Structure], list[Made]]] = {
    "read_array": _map,
    "forming": _forming,
    "yield_map": _yield_map,
    "dc_sweep": _dc_sweep,
    "pulse_response": _pulse_response,
    "read_verify": _read_verify,
    "ispp": _ispp,
}
