"""Other people's code, found by name: what installed packages offer, and what this session has registered.

A package offers steps, instruments, update rules, device models and analyses as entry points of the groups below; what
is shipped does the same, in our own ``pyproject.toml``. Listing reads metadata and source text and imports nothing;
code runs when a name is used. A name offered twice is refused, naming both.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from itertools import dropwhile
from pathlib import Path
from typing import Any, TypeVar

from .errors import RefusedError, XbarlabError, unknown
from .text import first_sentence

STEPS = "xbarlab.steps"
INSTRUMENTS = "xbarlab.instruments"
UPDATE_RULES = "xbarlab.update_rules"
DEVICE_MODELS = "xbarlab.device_models"
ANALYSES = "xbarlab.analyses"
LIBRARIES = "xbarlab.libraries"
KINDS: Mapping[str, str] = {
    STEPS: "step",
    INSTRUMENTS: "instrument",
    UPDATE_RULES: "update rule",
    DEVICE_MODELS: "device model",
    ANALYSES: "analysis",
    LIBRARIES: "vendor library",
}
"""Group of entry points → what a person calls one of its entries."""

_Thing = TypeVar("_Thing")
SESSION = "this session"
_OWN = "xbarlab"
_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Entry:
    """One name that somebody offers.

    Attributes
    ----------
    group, name : str
        The group of entry points, and the name in it.
    target : str
        ``module:attribute``.
    origin : str
        The distribution with its version, the plug-in file, or ``this session``.
    thing : object, optional
        What was registered, where nothing has to be imported.
    """

    group: str
    name: str
    target: str
    origin: str
    thing: Any = None

    def load(self) -> Any:
        """Import and return what is offered.

        Raises
        ------
        RefusedError
            Where the code of its author cannot be imported, whatever it raised.
        """
        if self.thing is not None:
            return self.thing
        module, _, attribute = self.target.partition(":")
        token = _LOADING.set(True)
        try:
            with _installed_only():
                thing: Any = import_module(module)
            for part in filter(None, attribute.split(".")):
                thing = getattr(thing, part)
        except XbarlabError:
            raise
        except (Exception, SystemExit) as error:  # whatever the code of a stranger raises
            raise RefusedError(
                f"{KINDS[self.group]} {self.name!r} of {self.origin} cannot be loaded from {self.target}: "
                f"{type(error).__name__}: {error}; repair or uninstall it"
            ) from error
        finally:
            _LOADING.reset(token)
        return thing

    def about(self) -> str:
        """Return the first sentence of its docstring, read from the source, not by importing it; "" if none."""
        if self.thing is not None:
            return _summary(getattr(self.thing, "__doc__", None))
        module, _, attribute = self.target.partition(":")
        path = _source_of(module)
        try:
            tree = ast.parse(path.read_text(encoding="utf-8")) if path is not None else None
        except (OSError, SyntaxError, ValueError):
            return ""
        return _summary(_docstring(tree, attribute.split(".")[-1])) if tree is not None else ""


_HELD: dict[tuple[str, str], Entry] = {}
# Who is registering: None where a decorator runs in a notebook or in a module that somebody imports.
_FILE: ContextVar[tuple[str, str] | None] = ContextVar("plugin_file", default=None)  # its path, its module
_LOADING: ContextVar[bool] = ContextVar("loading_an_entry_point", default=False)


def offered(group: str) -> dict[str, list[Entry]]:
    """Return who offers what in a group, by name in alphabetical order; more than one entry is a name taken twice."""
    found: dict[str, list[Entry]] = {}
    for entry in (*_installed(group), *(entry for (of, _), entry in _HELD.items() if of == group)):
        found.setdefault(entry.name, []).append(entry)
    return dict(sorted(found.items()))


def names(group: str) -> list[str]:
    """Return the names of a group; nothing is imported."""
    return list(offered(group))


def find(group: str, name: str) -> Entry:
    """Return who offers ``name``; refuse a name nobody offers, with the alternatives, and one that two offer."""
    known = offered(group)
    if name not in known:
        raise RefusedError(unknown(KINDS[group], name, known))
    refuse_twice(known[name])
    return known[name][0]


def offered_name(group: str, name: str) -> str:
    """Return ``name``; refuse one that nobody offers in a group, or that two do. Nothing is imported."""
    return find(group, name).name


def load(group: str, name: str) -> Any:
    """Import and return what is offered under ``name``."""
    return find(group, name).load()


def refuse_twice(entries: Iterable[Entry]) -> None:
    """Refuse more than one entry of the same name, naming who offers them."""
    several = list(entries)
    if len(several) > 1:
        who = " and ".join(f"{entry.origin} ({entry.target})" for entry in several)
        raise RefusedError(
            f"{KINDS[several[0].group]} {several[0].name!r} is offered twice, by {who}: uninstall one of them, or give "
            "one another name"
        )


def register(group: str, name: str, thing: Any) -> None:
    """Offer ``thing`` for the rest of this session; what the same module offered under that name before is replaced.

    What an installed package offers already under an entry point is not offered again when its decorators run.

    Raises
    ------
    RefusedError
        For a name that another package, file or module has taken.
    """
    module, called = getattr(thing, "__module__", "?"), getattr(thing, "__qualname__", None)
    target, running = f"{module}:{called or type(thing).__qualname__}", _FILE.get()
    # Somebody else's module runs because an entry of its package, or a plug-in file, imports it.
    if (_LOADING.get() and running is None) or (running is not None and called is not None and module != running[1]):
        return
    installed = [entry for known in offered(group).values() for entry in known if entry.thing is None]
    if any(entry.target == target for entry in installed):
        return
    new = Entry(group, name, target, running[0] if running is not None else SESSION, thing)
    before = _HELD.get((group, name))
    again = before is not None and before.origin == new.origin and before.target.startswith(f"{module}:")
    taken = [entry for entry in installed if entry.name == name]
    refuse_twice([*taken, *([before] if before is not None and not again else []), new])
    _HELD[group, name] = new


def offer(kind: str, name: str) -> Callable[[_Thing], _Thing]:
    """Offer what stands below, as ``@offer("analysis", "longest")`` does, for the rest of this session.

    Parameters
    ----------
    kind : str
        ``step``, ``instrument``, ``update_rule``, ``device_model`` or ``analysis``.
    """
    groups = {called.replace(" ", "_"): group for group, called in KINDS.items()}
    if kind not in groups:
        raise RefusedError(unknown("kind of plug-in", kind, groups))

    def take(thing: _Thing) -> _Thing:
        register(groups[kind], name, thing)
        return thing

    return take


def held_by(origin: str) -> list[Entry]:
    """Return what a file, or this session, has registered."""
    return [entry for entry in _HELD.values() if entry.origin == origin]


def forget(origin: str) -> None:
    """Take back what a file, or this session, has registered."""
    for key in [key for key, entry in _HELD.items() if entry.origin == origin]:
        del _HELD[key]


@contextmanager
def registering(file: str, module: str) -> Generator[None]:
    """Let the decorators in ``module`` register on behalf of ``file``."""
    token = _FILE.set((file, module))
    try:
        yield
    finally:
        _FILE.reset(token)


@contextmanager
def scope() -> Generator[None]:
    """Take back at the end what was registered inside: two commands in one process do not see each other's plug-ins."""
    before = dict(_HELD)
    try:
        yield
    finally:
        _HELD.clear()
        _HELD.update(before)


def culprit(error: BaseException) -> str | None:
    """Return whose code an error came through, ``origin (file:line)``; None where it was only ours."""
    files = {entry.origin for entry in _HELD.values()}
    others = {
        entry.target.partition(":")[0].partition(".")[0]: entry.origin
        for group in KINDS
        for entry in _installed(group)
        if not entry.target.startswith(f"{_OWN}.")
    }
    found: str | None = None
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        module = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        whose = frame.f_code.co_filename if frame.f_code.co_filename in files else others.get(module)
        if whose is not None:
            place = Path(frame.f_code.co_filename).name
            found = f"{whose} ({place}:{trace.tb_lineno}, in {frame.f_code.co_name})"
        trace = trace.tb_next
    return found


# -- what is installed -------------------------------------------------------------------------------------------------


def installed_path() -> list[str]:
    """Return ``sys.path`` without the current folder, whoever put it there.

    Python does for ``python -m`` and a notebook, and an empty place in ``PYTHONPATH`` (``:/lab``) means it too. Where
    this package itself was imported from is searched even if that is the current folder: its code runs already.
    """
    here = Path.cwd()
    if _same_folder(_ROOT.parent, here):
        here = Path(os.devnull)
    return [part for part in sys.path if part and not _same_folder(part, here)]


def _same_folder(one: str | Path, other: str | Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


@contextmanager
def _installed_only() -> Generator[None]:
    """Let imports find what is installed, not what lies in the current folder."""
    before = list(sys.path)
    sys.path[:] = installed_path()
    try:
        yield
    finally:
        added = [part for part in sys.path if part not in before]
        sys.path[:] = [*before, *added]


def _installed(group: str) -> tuple[Entry, ...]:
    return _entries(tuple(installed_path())).get(group, ())


@lru_cache(maxsize=4)
def _entries(path: tuple[str, ...]) -> dict[str, tuple[Entry, ...]]:
    """Return the entry points of our groups among the distributions on ``path``, the first of each name."""
    from importlib.metadata import distributions

    own = _checkout()
    found = {
        group: {(entry.name, entry.target, entry.origin): entry for entry in own.get(group, ())} for group in KINDS
    }
    seen = {_OWN} if own else set[str]()
    for distribution in distributions(path=list(path)):
        name = str(distribution.metadata["Name"] or "").strip()
        if name.lower().replace("_", "-").replace(".", "-") in seen:
            continue
        seen.add(name.lower().replace("_", "-").replace(".", "-"))
        for point in distribution.entry_points:
            if point.group in KINDS:
                entry = Entry(
                    point.group, point.name, point.value.partition("[")[0].strip(), f"{name} {distribution.version}"
                )
                found[point.group][entry.name, entry.target, entry.origin] = entry
    return {group: tuple(entries.values()) for group, entries in found.items()}


def _checkout() -> dict[str, list[Entry]]:
    """Return what is shipped as a checkout declares it, whose metadata may be older than its files, or not be there."""
    import tomllib

    path = _ROOT / "pyproject.toml"
    if not path.is_file():
        return {}
    project = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {})
    if project.get("name") != _OWN:
        return {}
    return {
        group: [Entry(group, name, target, f"{_OWN} {project['version']}") for name, target in points.items()]
        for group, points in project.get("entry-points", {}).items()
    }


# -- what is said of it, without importing it --------------------------------------------------------------------------


def _source_of(module: str) -> Path | None:
    """Return the file of a module without importing the packages it lies in."""
    top, *rest = module.split(".")
    with _installed_only():
        try:
            spec = find_spec(top)
        except (ImportError, ValueError):
            return None
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.origin else None
    for folder in spec.submodule_search_locations or ():
        place = Path(folder, *rest)
        for path in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
            if path.is_file():
                return path
    return None


def _docstring(tree: ast.Module, name: str) -> str | None:
    """Return the docstring of a function or class, or the text below an assignment."""
    for node, below in zip(tree.body, [*tree.body[1:], None], strict=False):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) and node.name == name:
            return ast.get_docstring(node)
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if any(isinstance(target, ast.Name) and target.id == name for target in targets) and isinstance(
            below, ast.Expr
        ):
            return str(below.value.value) if isinstance(below.value, ast.Constant) else None
    return None


def _summary(text: str | None) -> str:
    return first_sentence(dropwhile(lambda line: not line.strip(), (text or "").splitlines()))
