"""Which numbers a fit frees: those of a chip, those that a kind of measurement can move, or those one asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from ...analysis.measured_data.measured import Measured
from ...analysis.measured_data.protocols import Cycling, PulseSweep, WriteVerify
from ...analysis.measured_data.write_algorithms import CoarseFine, Ispp
from ...common.errors import RefusedError, unknown
from ...mockhw.device_models.filament.parameters import FilamentParameters, Section
from ...mockhw.device_models.graded.parameters import GradedParameters
from ..coordinates import CHIP, CHIP_PASSIVE, UNKNOWN, coordinate_of, full
from ..objective import PROTOCOL
from ..replay.passive import VIRGIN_BELOW
from .blocks import block_numbers

Mode = Literal["check", "calibrate", "full"]

_SET = ("set.US", "set.V0S", "set.GxS", "cycle_noise.gS", "device_spread.ln_US")
_RESET = (
    "reset.UR", "reset.V0R", "reset.GxR", "reset.Gm", "reset.shallow", "transistor.n", "cycle_noise.lam",
    "cycle_noise.d0", "device_spread.ln_UR", "device_spread.ln_GxR",
)  # fmt: skip
_PATH = ("transistor.Vt", "transistor.beta", "series.Rs", "device_spread.ln_Rs")
_BOTH = (
    "set.slow_knee", "set.slow_factor", "reset.slow_factor", "memory.kq", "memory.I0", "memory.q_max",
    "cycle_noise.Gh", "cycle_noise.sigS", "cycle_noise.sigL", "cycle_noise.step_power", "cycle_noise.sigB",
    "cycle_noise.skewB", "cycle_noise.ptail", "cycle_noise.ttail", "cycle_noise.tail_bend", "cycle_noise.sigH",
    "cycle_noise.rho", "device_spread.weak_fraction", "device_spread.weak_factor",
)  # fmt: skip
_AGE = ("wear.age_power", "wear.age_cycles")
_DRIVER = ("driver.tau", "driver.Vtd", "driver.exponent")
_GRADED = (
    "conduction.Gon", "conduction.Goff", "set.VS0", "set.V0S", "set.aS", "reset.VR0", "reset.V0R", "reset.aR",
    "cycles.lam", "cycles.bound", "device_spread.ln_xi", "device_spread.lam", "device_spread.ln_Gon",
    "device_spread.ln_Goff",
)  # fmt: skip
_PASSIVE = {
    "pulse_train": _GRADED,
    "iv_sweep": (*_GRADED, "conduction.b"),
    "map": ("conduction.Gv", "device_spread.ln_Gv"),
}
_SECTIONS = {"forming": "forming.", "bake": "relaxation.", "noise": "read_noise."}
START_VOLTS, START_GATE, START_WIDTH = 2.8, 3.5, 200e-9
"""Where the estimate of an unknown number of a protocol begins."""


def moved_by(data: Sequence[Measured]) -> list[str]:
    """Return every number of the model that these measurements can move, in the order of the coordinates."""
    found: set[str] = set()
    known = full(all(measured.structure == "passive" for measured in data))
    for measured in data:
        protocol = measured.protocol
        if isinstance(protocol, PulseSweep):
            found |= {*_PATH, *(_SET if protocol.polarity == "set" else _RESET)}
        elif isinstance(protocol, Cycling | WriteVerify):
            found |= {*_PATH, *_SET, *_RESET, *_BOTH}
            if isinstance(protocol, Cycling) or protocol.start.cycles:
                found |= {*_AGE}
        found |= {*_PASSIVE.get(measured.kind, ())}
        if measured.kind in _SECTIONS:
            found |= {name for name in known if name.startswith(_SECTIONS[measured.kind])}
        if measured.kind == "forming":
            found |= {"transistor.Vt"}
    if len(_widths(data)) > 1:
        found |= {*_DRIVER}
    return [name for name in known if name in found]


def _widths(data: Sequence[Measured]) -> set[float]:
    found: set[float] = set()
    for measured in data:
        if "width" in measured.table:
            found |= {round(float(width), 12) for width in set(measured.table["width"])}
        protocol = measured.protocol
        if isinstance(protocol, Cycling):
            found |= {float(pulse.width) for pulse in (protocol.reset, protocol.set) if pulse.width is not None}
    return found


def unknown_numbers(data: Sequence[Measured]) -> list[str]:
    """Return the names of numbers that nobody wrote down and a replay needs, as ``protocol.<measurement>.<name>``.

    Raises
    ------
    RefusedError
        One of them cannot be estimated.
    """
    found: list[str] = []
    for measured in data:
        if measured.kind not in ("write_verify", "cycling"):
            continue  # the others have assumptions of their own, stated where they are made
        for name in measured.protocol.unknown():
            if name.startswith(("read_volts", "start.")) or name.endswith(
                ("_most", ".below", "gate_step", "gate_below")
            ):
                continue
            whole = f"{PROTOCOL}.{measured.id}.{name}"
            if coordinate_of(whole, measured.structure == "passive") is None or any(
                part.isdigit() for part in name.split(".")
            ):
                raise RefusedError(
                    f"{measured.id}: {name} is unknown, and a fit estimates only the {', '.join(UNKNOWN)} of one "
                    "pulse: say it in the description"
                )
            found.append(whole)
    return [*found, *block_numbers(data)]


def start_of(name: str, known: Mapping[str, float]) -> float:
    """Return where the estimate of an unknown number of a protocol begins, in SI units.

    Parameters
    ----------
    known : mapping
        What an earlier fit found, as a profile keeps it (``Profile.protocol``).
    """
    found = known.get(name.removeprefix(f"{PROTOCOL}."))
    if found is not None:
        return float(found)
    starts = {"volts": START_VOLTS, "gate": START_GATE, "width": START_WIDTH, "Vt": 0.0, "ln_Rs": 0.0}
    return starts[name.rsplit(".", 1)[-1]]


def freed(data: Sequence[Measured], mode: Mode, parameters: Section, wanted: Sequence[str]) -> list[str]:
    """Return the names of the numbers a fit moves.

    Parameters
    ----------
    wanted : sequence of str
        Names that are asked for instead of those of the mode; numbers of protocols that are unknown come on top.

    Raises
    ------
    RefusedError
        A name is not in the model or has no bounds; or the data move none of the numbers of the mode.
    """
    numbers = unknown_numbers(data)
    if wanted:
        for name in wanted:
            _refuse_unknown(name, parameters)
        return [*dict.fromkeys([*wanted, *numbers])]
    if mode == "check":
        return numbers
    moved = moved_by(data)
    if mode == "full":
        return [*moved, *numbers]
    chip = CHIP if isinstance(parameters, FilamentParameters) else CHIP_PASSIVE
    names = [name for name in chip if name in moved]
    if not names:
        kinds = ", ".join(sorted({one.kind for one in data}))
        raise RefusedError(
            f"{kinds} data move none of {', '.join(chip)}, which mode calibrate fits: take mode full, or name the "
            f"numbers with --free (these data move {', '.join(moved)})"
        )
    return [*names, *numbers]


def _refuse_unknown(name: str, parameters: Section) -> None:
    section, _, key = name.partition(".")
    here = getattr(parameters, section, None)
    there = isinstance(here, Section) and key in type(here).model_fields
    if name in full(isinstance(parameters, GradedParameters)) and there:
        return
    if there:
        raise RefusedError(f"{name} is in the model and no fit moves it: choose from {', '.join(_of(parameters))}")
    raise RefusedError(f"the model has no {name}: {unknown('number to fit', name, _of(parameters))}")


def _of(parameters: Section) -> list[str]:
    """Return the numbers of a model that have bounds to fit between."""
    known = full(isinstance(parameters, GradedParameters))
    pairs = ((name, *name.split(".")) for name in known)
    return [name for name, section, key in pairs if hasattr(getattr(parameters, section, None), key)]


def replayable(data: Sequence[Measured]) -> tuple[list[Measured], list[Measured]]:
    """Return what can be done again on a model, and what not; refuse data of which nothing can.

    Raises
    ------
    RefusedError
        None of the measurements has a protocol that is replayed.
    """
    yes = [measured for measured in data if _is_replayed(measured)]
    no = [measured for measured in data if not _is_replayed(measured)]
    if not yes:
        kinds = ", ".join(f"{one.id} ({kind_words(one)})" for one in no) or "there are none"
        raise RefusedError(
            f"no measurement has a protocol that can be replayed: {kinds}; replayed are of 1T1R cells "
            "pulse_sweep, forming, cycling, write_verify (by ispp and coarse_fine), bake and noise, of passive ones "
            "pulse_train, iv_sweep and the map of a virgin chip"
        )
    return yes, no


def kind_words(measured: Measured) -> str:
    """Return what kind of measurement it is, with the algorithm where there are several."""
    protocol = measured.protocol
    return f"{measured.kind} by {protocol.algorithm.method}" if isinstance(protocol, WriteVerify) else measured.kind


def _is_replayed(measured: Measured) -> bool:
    protocol = measured.protocol
    if isinstance(protocol, WriteVerify):
        return isinstance(protocol.algorithm, Ispp | CoarseFine)
    if measured.structure == "passive":
        # A map of formed cells says where they were left, and not how they came there.
        virgin = measured.kind == "map" and float(np.median(measured.table["conductance"])) < VIRGIN_BELOW
        return virgin or measured.kind in ("pulse_train", "iv_sweep")
    return measured.kind not in _PASSIVE
