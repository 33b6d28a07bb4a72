"""What must not be sent is refused before anything is: in one sentence, with nothing on the wire and no cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..common.errors import RefusedError
from ..instruments.abilities import (
    Multiplies,
    MultipliesReversed,
    Samples,
    Saturates,
    Sweeps,
    UpdatesByOuterProduct,
    VerifiesOnBoard,
)
from ..instruments.block import Block
from ..instruments.capabilities import PulseDrive, PulseMap, VerifyRequest
from .checks import Check, Group
from .subject import NotHereError, Subject, require

GROUP = Group("refused")
SENTENCE_MAX = 900
NAN = float("nan")

Ask = Callable[[Subject], Any]
Setting = Ask | float | str | list[float]
"""A value, or how it follows from what is tried."""


def _beyond(limit: float) -> float:
    return 1.05 * limit + 1e-3


def _read(**settings: Setting) -> Ask:
    def ask(on: Subject) -> Any:
        given: dict[str, Any] = {"volts": on.volts, **_values(on, settings)}
        return on.array.read(on.cells, **given)

    return ask


def _values(on: Subject, settings: Mapping[str, Setting]) -> dict[str, Any]:
    return {name: value(on) if callable(value) else value for name, value in settings.items()}


def _pulse(**settings: Setting) -> Ask:
    def ask(on: Subject) -> Any:
        usual = {"volts": on.volts, "width": on.width, "gate": on.spec.pulse_gate(1.0), "count": 1}
        given: dict[str, Any] = {"block": on.cells, **usual, **_values(on, settings)}
        return on.array.pulse(PulseMap(**given))

    return ask


def _outside(on: Subject) -> Block:
    return Block(on.spec.rows - 1, 2, 0, 1)


def _masked(on: Subject) -> Any:
    return np.ma.masked_array(np.full(on.cells.shape, on.volts), True)


def _odd(on: Subject) -> Any:
    return np.ones((on.cells.nrows + 2, on.cells.ncols + 3))


def _one_bad(on: Subject) -> Any:
    volts = np.full(on.cells.shape, on.volts)
    volts.flat[-1] = _beyond(on.spec.limits.set_volts_max)
    return volts


_CORE: tuple[tuple[str, Ask], ...] = (
    ("a read above read_volts_max", lambda on: on.array.read(on.cells, _beyond(on.spec.limits.read_volts_max))),
    ("a read below −read_volts_max", lambda on: on.array.read(on.cells, -_beyond(on.spec.limits.read_volts_max))),
    ("a read at NaN", _read(volts=NAN)),
    ("a read at infinity", _read(volts=float("inf"))),
    ("a read at 0 V", _read(volts=0.0)),
    ("a read with average 0", _read(average=0)),
    ("a read with average 1.5", _read(average=1.5)),
    ("a read of more than average_max", lambda on: on.array.read(on.cells, average=on.spec.average_max + 1)),
    ("a read in a bias scheme nobody knows", _read(scheme="no-such-scheme")),
    ("a read with a gate above gate_max", lambda on: on.array.read(on.cells, gate=_beyond(on.spec.limits.gate_max))),
    ("a read of cells outside the array", lambda on: on.array.read(_outside(on))),
    ("a pulse above set_volts_max", _pulse(volts=lambda on: _beyond(on.spec.limits.set_volts_max))),
    ("a pulse below −reset_volts_max", _pulse(volts=lambda on: -_beyond(on.spec.limits.reset_volts_max))),
    ("a pulse of NaN", _pulse(volts=NAN)),
    ("a pulse of infinite width", _pulse(width=float("inf"))),
    ("a pulse longer than width_max", _pulse(width=lambda on: 1.1 * on.spec.limits.width_max)),
    ("a pulse shorter than width_min", _pulse(width=lambda on: 0.4 * on.spec.limits.width_min)),
    ("a pulse of negative width", _pulse(width=-1e-6)),
    ("a negative count", _pulse(count=-1)),
    ("half a pulse", _pulse(count=0.5)),
    ("more pulses than count_max", _pulse(count=lambda on: on.spec.limits.count_max + 1)),
    ("a map of another shape than its block", _pulse(volts=_odd)),
    ("one bad cell in a good map", _pulse(volts=_one_bad)),
    ("a pulse with a gate above gate_max", _pulse(gate=lambda on: _beyond(on.spec.limits.gate_max))),
    ("a pulse with a negative gate", _pulse(gate=-0.5)),
    ("a pulse for cells outside the array", _pulse(block=_outside)),
    ("a pulse in a bias scheme nobody knows", _pulse(scheme="no-such-scheme")),
    ("a masked array for volts", _pulse(volts=_masked)),
    ("text for volts", _pulse(volts="1.0")),
)  # fmt: skip


def _sweep(**settings: Setting) -> Ask:
    def ask(on: Subject) -> Any:
        spec = on.spec
        usual = {
            "volts": [0.0, on.volts], "compliance": spec.limits.current_max, "dwell": max(spec.sweep_dwell[0], 1e-3)
        }  # fmt: skip
        given: dict[str, Any] = {**usual, **_values(on, settings)}
        return on.array.ability(Sweeps).sweep(*on.cell, **given)

    return ask


def _sample(volts: Ask, rate: Ask = lambda on: 0.1 * on.spec.sample_rate_max, points: float = 5.0) -> Ask:
    def ask(on: Subject) -> Any:
        speed = rate(on)
        return on.array.ability(Samples).sample(*on.cell, volts(on), rate=speed, seconds=points / max(speed, 1e-9))

    return ask


def _product(kind: type, verb: str, volts: Ask, **settings: Any) -> Ask:
    return lambda on: getattr(on.array.ability(kind), verb)(volts(on), **settings)


def _vector(on: Subject, size: int, value: float) -> Any:
    return np.full((1, size), value)


def _outer(x: float = 0.0, pulses: int = 1, shift: int = 0, **drive: float) -> Ask:
    def ask(on: Subject) -> Any:
        usual = {"set_volts": on.volts, "set_gate": 0.0, "reset_volts": on.volts, "reset_gate": 0.0, "width": on.width}
        part = on.array.ability(UpdatesByOuterProduct)
        rows, cols = np.full(on.spec.rows + shift, x), np.zeros(on.spec.cols)
        return part.outer_update(rows, cols, pulses=pulses, drive=PulseDrive(**{**usual, **drive}))

    return ask


def _verify(target: float = 1e-5, **settings: float) -> Ask:
    def ask(on: Subject) -> Any:
        given: dict[str, Any] = {
            "tolerance": 1e-6, "pulses_max": 1, "width": on.width, "set_volts": on.volts, "set_gate": (0.0, 0.0, 0.0),
            "reset_volts": (on.volts, on.volts, 0.0), "reset_gate": 0.0,
        }  # fmt: skip
        given.update(settings)
        request = VerifyRequest(block=on.cells, target=np.full(on.cells.shape, target), **given)
        return on.array.ability(VerifiesOnBoard).program_verify(request)

    return ask


_ABLE: tuple[tuple[type, tuple[tuple[str, Ask], ...]], ...] = (
    (Sweeps, (
        ("a sweep above set_volts_max", _sweep(volts=lambda on: [0.0, _beyond(on.spec.limits.set_volts_max)])),
        ("a sweep with NaN in it", _sweep(volts=[0.0, NAN])),
        ("a sweep without a point", _sweep(volts=[])),
        ("a sweep of too many points", _sweep(volts=lambda on: np.zeros(on.spec.sweep_points_max + 1))),
        ("a compliance above current_max", _sweep(compliance=lambda on: 2.0 * on.spec.limits.current_max)),
        ("a compliance of NaN", _sweep(compliance=NAN)),
        ("a dwell longer than the longest", _sweep(dwell=lambda on: 2.0 * on.spec.sweep_dwell[1] + 1.0)),
        ("a sweep of a cell outside", lambda on: on.array.ability(Sweeps).sweep(
            on.spec.rows, 0, [0.0], compliance=on.spec.limits.current_max, dwell=max(on.spec.sweep_dwell[0], 1e-3))),
    )),
    (Samples, (
        ("a sample above read_volts_max", _sample(lambda on: _beyond(on.spec.limits.read_volts_max))),
        ("a sample at NaN", _sample(lambda on: NAN)),
        ("a sample faster than the converter", _sample(lambda on: on.volts, lambda on: 2.0 * on.spec.sample_rate_max)),
        ("a sample of a negative rate", _sample(lambda on: on.volts, lambda on: -1.0)),
    )),
    (Multiplies, (
        ("a product above vmm_volts_max", _product(Multiplies, "vmm", lambda on: _vector(
            on, on.spec.rows, _beyond(on.spec.limits.vmm_volts_max)))),
        ("a product with NaN in it", _product(Multiplies, "vmm", lambda on: _vector(on, on.spec.rows, NAN))),
        ("a product of another length", _product(Multiplies, "vmm", lambda on: _vector(on, on.spec.rows + 1, 0.0))),
        ("a product on a range nobody has", _product(
            Multiplies, "vmm", lambda on: _vector(on, on.spec.rows, 0.0), full_scale=1e6)),
    )),
    (MultipliesReversed, (
        ("a reversed product above vmm_volts_max", _product(MultipliesReversed, "vmm_reversed", lambda on: _vector(
            on, on.spec.cols, _beyond(on.spec.limits.vmm_volts_max)))),
        ("a reversed product of another length", _product(
            MultipliesReversed, "vmm_reversed", lambda on: _vector(on, on.spec.cols + 1, 0.0))),
    )),
    (UpdatesByOuterProduct, (
        ("an outer product above 1", _outer(x=1.5)),
        ("an outer product of another length", _outer(shift=1)),
        ("an outer product of no turn", _outer(pulses=0)),
        ("an outer product above the limits", _outer(set_volts=1e3)),
    )),
    (VerifiesOnBoard, (
        ("a target of 0 S", _verify(0.0)),
        ("an infinite target", _verify(float("inf"))),
        ("a read-verify of too many volts", _verify(set_volts=1e3)),
        ("a read-verify of no pulse", _verify(pulses_max=0)),
    )),
    (Saturates, (
        ("levels that cross", lambda on: on.array.ability(Saturates).vmm_saturated(
            _vector(on, on.spec.rows, 0.0), low=1e-6, high=-1e-6)),
    )),
)  # fmt: skip


def _refused(what: str, ask: Ask) -> Callable[[Subject], None]:
    def run(on: Subject) -> None:
        if "gate" in what and on.spec.gate_axis is None and "above" not in what:
            raise NotHereError(f"{on.spec.name} has no gates")
        before, told = on.sent(), ""
        try:
            ask(on)
        except RefusedError as error:
            told = str(error)
        except Exception as error:  # whatever comes instead is the finding
            require(False, f"{what} raised {type(error).__name__}, not a RefusedError: {error}")
        else:
            require(False, f"{what} was accepted: nothing of it may be sent")
        spent, written = on.sent()
        require(spent == before[0], f"{what} was refused, and cost was counted: {spent - before[0]}")
        require(written == before[1], f"{what} was refused after something was sent: see the wire log {on.log}")
        require(told.strip() and "\n" not in told and len(told) <= SENTENCE_MAX, f"{what}: no sentence: {told!r}")

    return run


for _what, _ask in _CORE:
    GROUP.checks.append(Check(f"refused: {_what}", _refused(_what, _ask)))
for _kind, _asked in _ABLE:
    for _what, _ask in _asked:
        GROUP.checks.append(Check(f"refused: {_what}", _refused(_what, _ask), _kind))
