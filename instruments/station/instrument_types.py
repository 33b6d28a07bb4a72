"""What ``type:`` in a station means: a short name that a package offers, or the dotted path of a class.

Importing a class runs its author's code, so it is only looked for in what is installed, never in the current folder,
and only an instrument, or an array made of several, is taken. What the running program has defined itself, a notebook's
own class, is there already.
"""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from ...common import plugins
from ...common.errors import RefusedError, alternatives, unknown
from .fitting import roles_of

log = logging.getLogger(__name__)

INIT_UNITS: Mapping[str, str] = {"timeout": "s"}
"""Units of what every driver may be made with."""

_OWN = __name__.partition(".")[0]
# Where our drivers were before they moved, and what they are called now.
_MOVED = {
    "crossbar_board.CrossbarBoard": "CrossbarBoard",
    "keithley_2450.Keithley2450Smu": "Keithley2450",
    "keysight_33622a.Keysight33622APulser": "Keysight33622A",
    "keysight_b2201a.KeysightB2201AMatrix": "KeysightB2201A",
    "probed_array.ProbedArray": "ProbedArray",
}
_OLD_HOME = f"{_OWN}.instruments."


@dataclass(frozen=True, slots=True)
class InstrumentType:
    """What a ``type:`` stands for.

    Attributes
    ----------
    make : class, or a function of the running program
    path : str
        ``module.Class``, as QCoDeS wants it.
    note : str
        A sentence where the name is an old one, else "".
    """

    make: Any
    path: str
    note: str = ""


def find_type(name: object, where: str) -> InstrumentType:
    """Return what ``name`` stands for; ``where`` begins the sentence of a refusal.

    Raises
    ------
    RefusedError
        Nobody offers it, it is not installed, cannot be imported, or is no instrument.
    """
    if not isinstance(name, str) or not name.strip():
        raise RefusedError(
            f"{where}.type is {name!r}: write module.Class, or the name of an instrument"
            f"{alternatives(name, short_names())}"
        )
    note = ""
    moved = _MOVED.get(name.removeprefix(_OLD_HOME)) if name.startswith(_OLD_HOME) else None
    if moved is not None:
        note = f"{where}.type {name} is called {moved} now: write type: {moved}"
    short = moved or name
    if "." not in short:
        offered = plugins.offered(plugins.INSTRUMENTS)
        if short not in offered:
            raise RefusedError(f"{where}.type: {unknown('instrument type', short, offered)}, or write module.Class")
        entry = plugins.find(plugins.INSTRUMENTS, short)
        make = entry.load()
        return InstrumentType(_instrument(make, entry.target.replace(":", "."), where), _path_of(make), note)
    module, _, called = name.rpartition(".")
    loaded = sys.modules.get(module)
    if loaded is not None and (module == "__main__" or not getattr(loaded, "__file__", None)):
        if not hasattr(loaded, called):
            raise RefusedError(f"{where}.type {name} cannot be imported: {module} has no {called}")
        make = getattr(loaded, called)
        if inspect.isclass(make) or not callable(make):
            _instrument(make, name, where)
        return InstrumentType(make, name)
    if loaded is None and not _is_installed(module.partition(".")[0]):
        raise RefusedError(
            f"{where}.type {name} cannot be imported: no installed package has a module {module.partition('.')[0]}; "
            "drivers are taken from installed packages only (pip install), never from the current folder"
        )
    try:
        make = plugins.Entry(plugins.INSTRUMENTS, called, f"{module}:{called}", "the station file").load()
    except RefusedError as error:
        why = error.__cause__ or error
        raise RefusedError(f"{where}.type {name} cannot be imported: {type(why).__name__}: {why}") from error
    return InstrumentType(_instrument(make, name, where), _path_of(make))


def short_names() -> list[str]:
    """Return the names packages offer, ours and others'."""
    return plugins.names(plugins.INSTRUMENTS)


def is_composed(make: Any) -> bool:
    """Whether this is an array made of several instruments: a class with ``ROLES``."""
    return inspect.isclass(make) and bool(getattr(make, "ROLES", None))


def known_arguments(make: Any) -> list[str]:
    """Return what the ``init`` of an instrument may hold, for messages and schemas."""
    known: set[str] = set()
    for owner in inspect.getmro(make) if inspect.isclass(make) else (make,):
        maker = vars(owner).get("__init__") if inspect.isclass(owner) else owner
        if maker is not None and owner is not object:
            parameters = inspect.signature(maker).parameters.values()
            known |= {p.name for p in parameters if p.kind in {p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY}}
    # The name is the key of the entry.
    return sorted(known - {"self", "name", "resource"})


def settings_of(make: type) -> list[str]:
    """Return what a composed array is made with beside its instruments."""
    parameters = inspect.signature(make).parameters.values()
    taken = {*roles_of(make), *roles_of(make, optional=True), "chip", "limits"}
    return [p.name for p in parameters if p.kind == p.KEYWORD_ONLY and p.name not in taken]


def setting_units(make: type) -> Mapping[str, str]:
    """Return the unit of every setting of a composed array that has one: what its class says in ``UNITS``."""
    return cast("Mapping[str, str]", getattr(make, "UNITS", {}))


def _instrument(make: Any, name: str, where: str) -> Any:
    from qcodes.instrument import InstrumentBase

    if not (inspect.isclass(make) and (issubclass(make, InstrumentBase) or is_composed(make))):
        kind = f"a {type(make).__name__}" if not inspect.isclass(make) else "a class"
        raise RefusedError(
            f"{where}.type {name} is no instrument but {kind}: name a class of QCoDeS's Instrument, or an array of "
            f"several; offered are {', '.join(short_names())}"
        )
    return make


def _path_of(make: Any) -> str:
    return f"{make.__module__}.{make.__qualname__}"


def _is_installed(top: str) -> bool:
    return top == _OWN or top in _installed_modules(tuple(plugins.installed_path()))


@lru_cache(maxsize=2)
def _installed_modules(path: tuple[str, ...]) -> Mapping[str, bool]:
    """Return the topmost modules of the distributions on ``path``."""
    from importlib.metadata import distributions

    found: dict[str, bool] = {}
    for distribution in distributions(path=list(path)):
        said = (distribution.read_text("top_level.txt") or "").split()
        names = said or [file.parts[0] for file in distribution.files or () if file.parts]
        found |= {name.removesuffix(".py"): True for name in names if not name.endswith((".dist-info", ".pth"))}
    return found
