"""An update rule by its name: shipped ones, and those that packages and plug-ins offer."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, cast

from ....common import plugins
from ....common.errors import RefusedError, unknown

if TYPE_CHECKING:
    from .update_rules import UpdateRule

_MEMBERS = (
    "needs_samples", "check", "attach", "start", "adopt", "apply", "finish", "step_cost", "arrays", "restore"
)  # fmt: skip


def name_of(rule: object) -> str:
    """Return the name under which the kind of ``rule`` is offered; that of its class where nobody offers it."""
    kind = type(rule)
    target = f"{kind.__module__}:{kind.__qualname__}"
    for name, entries in plugins.offered(plugins.UPDATE_RULES).items():
        if any(entry.thing is kind or entry.target == target for entry in entries):
            return name
    return kind.__name__


def make_rule(name: str, plan: Any, options: Mapping[str, Any] | None = None) -> UpdateRule:
    """Make the rule that ``name`` is.

    Parameters
    ----------
    plan : training plan
        A rule with a function ``settings(plan)`` chooses from it what it is made with; for any other, what the plan has
        under the names of the rule's own arguments.
    options : mapping
        Arguments that hold instead.
    """
    kind: Any = plugins.load(plugins.UPDATE_RULES, name)
    known = _arguments(kind)
    chosen = getattr(kind, "settings", None)
    given: dict[str, Any] = dict(chosen(plan)) if chosen is not None else {
        key: getattr(plan, key) for key in known if getattr(plan, key, None) is not None
    }  # fmt: skip
    for key in options or {}:
        if key not in known:
            raise RefusedError(f"rule_options: {unknown(f'argument of rule {name!r}', key, known)}")
    try:
        rule = kind(**{**given, **(options or {})})
    except (TypeError, ValueError) as error:
        raise RefusedError(f"update rule {name!r} cannot be made: {error}; it takes {', '.join(known)}") from error
    missing = [member for member in _MEMBERS if not hasattr(rule, member)]
    if missing:
        raise RefusedError(f"{name!r} is no update rule: it lacks {', '.join(missing)} (docs/add-a-network.md)")
    return cast("UpdateRule", rule)


def _arguments(kind: Any) -> list[str]:
    """Return what a rule can be made with; what it only remembers (``repr=False``) is none."""
    if is_dataclass(kind):
        return [field.name for field in fields(kind) if field.init and field.repr]
    return list(inspect.signature(kind).parameters)
