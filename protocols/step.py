"""A step out of a plan and a function: ``@step(metrics={name: definition})``, for shipped code and for yours."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any, cast

from ..analysis.quantities import define
from ..common import plugins
from ..common.errors import RefusedError
from ..instruments.capabilities import CrossbarArray
from .keeping.run import Result, Run
from .keeping.step_result import StepResult
from .plan import Plan

StepFunction = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class StepKind:
    """A runbook step: ``run(array, plan, run)`` carries out a plan of class ``plan``.

    Attributes
    ----------
    metrics : mapping of str to str, optional
        What it may measure, each with its definition; None where it does not say.
    """

    name: str
    about: str
    plan: type[Plan]
    run: Callable[..., Result]
    metrics: Mapping[str, str] | None = None


class Step:
    """A function ``(array, plan, run)`` that a runbook may name; called in a notebook it does the same.

    Its plan is checked against the array before it is called, it is always given a ``Run``, and numbers by name are a
    result, too.
    """

    def __init__(self, function: StepFunction, plan: type[Plan], metrics: Mapping[str, str] | None) -> None:
        self.plan, self.metrics = plan, None if metrics is None else dict(metrics)
        self._function = function
        update_wrapper(self, function)

    def __call__(self, array: CrossbarArray, plan: Plan, run: Run | None = None) -> Result:
        """Carry out ``plan`` on ``array``; ``run=None`` keeps nothing."""
        plan.check(array.spec)
        name = self._function.__name__
        given: object = self._function(array, plan, Run.of(run))
        if isinstance(given, Mapping):
            given = StepResult({str(key): float(value) for key, value in cast("Mapping[Any, Any]", given).items()})
        if not (hasattr(given, "metrics") and hasattr(given, "section")):
            raise RefusedError(
                f"step {name!r} returned {type(given).__name__}: return {{metric: number}}, work.result(metric=number) "
                "or what has metrics() and section()"
            )
        if isinstance(given, StepResult):
            about = inspect.getdoc(self._function) or ""
            return given.told(name.replace("_", " ").capitalize(), about, self.metrics or {})
        return cast("Result", given)

    def __repr__(self) -> str:
        return f"<step {self._function.__module__}.{self._function.__qualname__} of {self.plan.__name__}>"


def step(
    *, metrics: Mapping[str, str] | None = None, name: str | None = None, plan: type[Plan] | None = None
) -> Callable[[StepFunction], Step]:
    """Make a function ``(array, plan, run) -> result`` a step that runbooks may name.

    Parameters
    ----------
    metrics : mapping of str to str, optional
        What it measures, each with a definition that may end in a unit: ``"median of the last read [S]"``. Expectations
        of a runbook are checked against these names before anything is sent. Without them what its plan says it
        ``measures()``, as the plans of shipped trainings do.
    name : str, optional
        What runbooks call it; the function's own name by default.
    plan : type, optional
        The class of its plan, where the annotation of its second parameter does not say it.

    Raises
    ------
    RefusedError
        For a function that takes something else, a plan that cannot be found, a name that is taken.
    """
    for metric, definition in (metrics or {}).items():
        define(metric, definition)

    def decorate(function: StepFunction) -> Step:
        made = Step(function, plan or plan_of(function), metrics)
        plugins.register(plugins.STEPS, name or function.__name__, made)
        return made

    return decorate


def plan_of(function: StepFunction) -> type[Plan]:
    """Return the plan a function is asked with: the annotation of its second parameter, or its module's only one."""
    parameters = list(inspect.signature(function).parameters.values())
    said = f"{function.__module__}.{function.__qualname__}"
    if len(parameters) < 3:
        raise RefusedError(f"{said} takes {len(parameters)} arguments: a step is a function of (array, plan, run)")
    there: Mapping[str, Any] = getattr(function, "__globals__", {})
    wanted: object = parameters[1].annotation
    if isinstance(wanted, str):
        wanted = there.get(wanted)
    if isinstance(wanted, type) and issubclass(wanted, Plan):
        return wanted
    own = [
        thing
        for thing in {id(thing): thing for thing in there.values()}.values()
        if isinstance(thing, type) and issubclass(thing, Plan) and thing.__module__ == function.__module__
    ]
    if parameters[1].annotation is inspect.Parameter.empty and len(own) == 1:
        return own[0]
    raise RefusedError(
        f"{said} does not say its plan: annotate it, as in (array, plan: MyPlan, run), or @step(plan=MyPlan)"
    )


def kind_of(name: str, thing: Any) -> StepKind:
    """Return the step that ``thing``, offered under ``name``, is."""
    if isinstance(thing, StepKind):
        return thing
    about = next((line.strip() for line in (inspect.getdoc(thing) or "").splitlines() if line.strip()), "")
    if isinstance(thing, Step):
        return StepKind(name, about, thing.plan, thing, thing.metrics)
    if inspect.isfunction(thing):
        return StepKind(name, about, plan_of(thing), thing)
    raise RefusedError(
        f"step {name!r} is a {type(thing).__name__}: offer a function (array, plan, run), best under @step(metrics=…)"
    )
