"""Numbers that nobody means are refused by every plan, in one sentence that names parameter and range."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from xbarlab.common import plugins
from xbarlab.common.errors import RefusedError
from xbarlab.common.units import unit_of
from xbarlab.protocols.measure.endurance import EndurancePlan
from xbarlab.protocols.measure.stress_disturb import StressPlan
from xbarlab.protocols.plan import Plan
from xbarlab.protocols.programming.retention import RetentionPlan
from xbarlab.protocols.registry import step_kind

BAD = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan, "1e300": 1e300, "-1e300": -1e300, "huge": 10**400, "-1": -1}
REQUIRED: dict[str, dict[str, Any]] = {
    "RampPlan": {"volts": (1, 2), "gate": (1, 2)},
    "BandPlan": {"low": 1e-6, "high": 1e-3},
}
SIGNED = {"negative", "volts", "snr", "sweep", "rule_options", "inputs"}
"""Parameters that may be −1: voltages with a sign, ratios in dB, inputs of a function, and options of rules, which the
rules know."""


def parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in get_args(annotation):
        yield from parts(inner)


def plans_of(plan: type[Plan], found: dict[type[Plan], None]) -> dict[type[Plan], None]:
    if plan not in found:
        found[plan] = None
        for field in plan.model_fields.values():
            for part in parts(field.annotation):
                if isinstance(part, type) and issubclass(part, BaseModel):
                    assert issubclass(part, Plan), f"{part.__name__} of {plan.__name__} has the bounds of no plan"
                    plans_of(part, found)
    return found


def shipped() -> list[type[Plan]]:
    found: dict[type[Plan], None] = {}
    for name in plugins.names(plugins.STEPS):
        plans_of(step_kind(name).plan, found)
    return list(found)


def numeric(plan: type[Plan]) -> list[str]:
    return [
        name
        for name, field in plan.model_fields.items()
        if {int, float} & {part for part in parts(field.annotation) if isinstance(part, type)}
    ]


def shaped(plan: type[Plan], name: str, value: float) -> Any:
    """Return ``value`` in the shape of a parameter: a number, or the first of several."""
    kinds = [getattr(part, "__origin__", part) for part in parts(plan.model_fields[name].annotation)]
    if dict in kinds or any("Mapping" in str(kind) for kind in kinds):
        return {"a": value}
    return [value, value] if tuple in kinds or list in kinds else value


def answer(plan: type[Plan], name: str, value: float) -> str:
    """Return what is wrong with the answer to a number; nothing where it is one sentence that names the parameter."""
    try:
        plan(**{**REQUIRED.get(plan.__name__, {}), name: shaped(plan, name, value)})
    except RefusedError as refused:
        said = str(refused)
        return "" if name in said and "\n" not in said and len(said) < 500 else said
    return "accepted"


@pytest.mark.parametrize("plan", shipped(), ids=lambda plan: plan.__name__)
def test_a_number_that_nobody_means_is_refused_in_one_sentence(plan: type[Plan]) -> None:
    wrong = {
        (name, shown): said
        for name in numeric(plan)
        for shown, value in BAD.items()
        if not (value == -1 and name in SIGNED) and (said := answer(plan, name, value))
    }
    assert not wrong


@pytest.mark.parametrize(
    ("plan", "wrong", "says"),
    [
        (StressPlan, {"settle": 1e300}, "'settle' = 1e+300 is refused: choose 0 to 1e+09 s"),
        (StressPlan, {"settle": "1000000000000 s"}, "choose 0 to 1e+09 s"),
        (EndurancePlan, {"cycles": 10**9}, "choose 3 to 1e+08"),
        (RetentionPlan, {"temperature": 1e9}, "choose more than 0 and at most 2000 K"),
        (StressPlan, {"volts": (0.2, 1e30)}, "at most 1000 V"),
    ],
)
def test_the_sentence_names_the_range(plan: type[Plan], wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(RefusedError) as refused:
        plan(**wrong)
    assert says in str(refused.value)


def test_schemas_know_the_range_and_a_plan_of_somebody_else_has_it_too() -> None:
    class Theirs(Plan):
        many: int = 1
        seconds: float = 1.0
        more: int = 10**12

    assert Theirs.model_json_schema()["properties"]["many"]["maximum"] == 10**8
    with pytest.raises(RefusedError, match="at most 1e\\+08"):
        Theirs(many=10**9)
    assert unit_of(StressPlan.model_fields["settle"].description) == "s"
