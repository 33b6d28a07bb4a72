"""Whether a class of instruments can be what a station makes of it: an array, or a role of one. Nothing is opened."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from ...common.errors import RefusedError
from ..capabilities import CrossbarArray
from ..drivers.roles import lacking_verbs, require_role

_ARRAYS = "an array is a CrossbarBoard, or several instruments composed to one: array: {type: ProbedArray, …}"


def require_array(thing: object, *, where: str) -> None:
    """Refuse an instrument that is no array, or a class of such, or one that could not be told chip and limits."""
    if inspect.isfunction(thing):
        return  # it makes one: that is looked at when it is there
    kind = thing if inspect.isclass(thing) else type(thing)
    lacks = lacking_verbs(thing, CrossbarArray)
    if lacks:
        raise RefusedError(
            f"{where} is a {kind.__name__} ({kind.__module__}), not an array: it has no {', '.join(lacks)}; {_ARRAYS}"
        )
    if kind is not thing:
        return
    untold = [name for name in ("chip", "limits") if not _takes(kind, name)]
    if untold:
        raise RefusedError(
            f"{where} is a {kind.__name__} ({kind.__module__}), which takes no {' and no '.join(untold)}: an array is "
            "made with what sits on it and what may be applied, or neither would hold; give it these keyword arguments"
        )


def require_roles(kind: object, chosen: Mapping[str, str], classes: Mapping[str, object], *, where: str) -> None:
    """Refuse instruments that have not the verbs of their roles in a composed array.

    Parameters
    ----------
    kind : class of the composed array
    chosen : role → instrument
    classes : instrument → its class
    """
    roles: dict[str, type] = {**roles_of(kind), **roles_of(kind, optional=True)}
    for role, name in chosen.items():
        if inspect.isclass(classes[name]) and role in roles:
            require_role(classes[name], roles[role], where=f"{where}.{role}: {name}")


def roles_of(kind: object, *, optional: bool = False) -> dict[str, type]:
    """Return the roles of a composed array: what it must have, or with ``optional`` what it may have."""
    return dict(getattr(kind, "OPTIONAL_ROLES" if optional else "ROLES", {}))


def _takes(kind: type, argument: str) -> bool:
    """Return whether the maker of a class, or one that it may hand the rest on to, takes a keyword argument."""
    for owner in inspect.getmro(kind):
        maker = vars(owner).get("__init__")
        if maker is None or owner is object:
            continue
        parameters = inspect.signature(maker).parameters
        if argument in parameters:
            return True
        if not any(one.kind == inspect.Parameter.VAR_KEYWORD for one in parameters.values()):
            return False
    return False
