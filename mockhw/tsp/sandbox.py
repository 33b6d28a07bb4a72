"""A Lua for the scripts of a simulated instrument: it knows the instrument's names and nothing of this computer.

``lupa``'s Lua 5.1 in the settings that run no code of the host; what scripts may use is listed in ``prelude.lua``.
Bounds on instructions, time and memory turn a script that would run on for ever into an entry of the error queue.

Where it is not the instrument's Lua 5.0 is listed in ``docs/probe-station.md``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from inspect import Signature, signature
from pathlib import Path
from typing import Any, Final

from ...common.errors import RefusedError
from .names import (
    OUT_OF_MEMORY,
    RUNTIME,
    SYNTAX,
    Attribute,
    Constant,
    Entry,
    Function,
    Items,
    Made,
    Named,
    TspError,
    Wait,
)

_PRELUDE: Final = Path(__file__).with_name("prelude.lua")
_PLACE: Final = re.compile(r"tsp:(\d+): ")
_ITEMS_MAX: Final = 1e9
_MARK, _TABLE = "\1", "\2"


@dataclass(frozen=True, slots=True)
class LuaLimits:
    """Bounds of one script.

    Attributes
    ----------
    instructions : int
    seconds : float [s]
        On this computer's processor.
    memory : int [bytes]
        Of the whole Lua.
    text : int [bytes]
        Of what ``string.rep`` makes.
    """

    instructions: int = 100_000_000
    seconds: float = 10.0
    memory: int = 1 << 26
    text: int = 1 << 22


def load_lua() -> Any:
    """Return lupa's Lua 5.1.

    Raises
    ------
    RefusedError
        It is not installed.
    """
    try:
        from lupa import lua51  # pyright: ignore[reportMissingTypeStubs, reportAttributeAccessIssue]
    except ImportError as error:
        raise RefusedError(
            "a simulated instrument that runs scripts needs Lua, which is not installed: "
            'python -m pip install "xbarlab[sim]"'
        ) from error
    return lua51


class Sandbox:
    """One Lua, its globals, and the instrument's names in it.

    Parameters
    ----------
    entries : mapping of dotted name to Entry
    limits : LuaLimits
    furnish : callable, optional
        Puts into every new Lua what has more than one name: ``localnode``, ``node[1]``.
    """

    def __init__(
        self,
        entries: Mapping[str, Entry],
        limits: LuaLimits | None = None,
        *,
        furnish: Callable[[Sandbox, dict[str, Any]], None] | None = None,
    ) -> None:
        self._lua51 = load_lua()
        self._limits = limits or LuaLimits()
        self._root = dict(entries)
        self._furnish = furnish
        self.begin()

    def begin(self) -> None:
        """Be as after power-on: no globals, no scripts."""
        self._entries: dict[str, Entry] = {}
        self._shapes: dict[str, Signature] = {}
        self._wait: Wait | None = None
        self._failure: TspError | None = None
        self._crash: BaseException | None = None
        self._runtime = self._lua51.LuaRuntime(
            encoding="latin-1",
            register_eval=False,
            register_builtins=False,
            unpack_returned_tuples=True,
            attribute_filter=_nothing,
            max_memory=self._limits.memory,
        )
        compiled = self._runtime.compile(_PRELUDE.read_text(encoding="ascii"))
        limits = self._limits
        self._kit = compiled(self._host, float(limits.instructions), limits.seconds, float(limits.text))
        found = self._branches("", self._root)
        if self._furnish is not None:
            self._furnish(self, found)
        for name, value in found.items():
            self._kit.reserve(name, value)

    # -- what scripts find ---------------------------------------------------------------------

    def allow(self, entries: Mapping[str, Entry]) -> None:
        """Let scripts make parts with these names: reading buffers."""
        table = self._runtime.table_from

        def named(kind: type) -> Any:
            return table({name: True for name, entry in entries.items() if name and isinstance(entry, kind)})

        self._kit.template(named(Function), named(Attribute), named(Items))

    def make(self, path: str, entries: Mapping[str, Entry]) -> Made:
        """Return a part that a script makes; its names are those that were allowed."""
        self._entries |= {f"{path}.{name}" if name else path: entry for name, entry in entries.items()}
        return Made(path)

    def _node(self, path: str, entries: Mapping[str, Entry]) -> Any:
        """Return a part of the instrument that a script can hold."""
        items = next((entry for name, entry in entries.items() if not name), None)
        if isinstance(items, Items):
            self._entries[path] = items
        below = {name: entry for name, entry in entries.items() if name}
        known = [name for name, entry in below.items() if isinstance(entry, Attribute)]
        table = self._runtime.table_from
        return self._kit.node(
            path, table(self._branches(path, below)), table(dict.fromkeys(known, True)), items is not None
        )

    def _branches(self, path: str, entries: Mapping[str, Entry]) -> dict[str, Any]:
        """Return what stands directly below ``path``, by name; attributes are asked for when they are read."""
        made: dict[str, Any] = {}
        deeper: dict[str, dict[str, Entry]] = {}
        for name, entry in entries.items():
            first, _, rest = name.partition(".")
            full = f"{path}.{first}" if path else first
            if rest or isinstance(entry, Items):
                deeper.setdefault(first, {})[rest] = entry
            elif isinstance(entry, Constant):
                made[first] = entry.value
            else:
                self._entries[full] = entry
                if isinstance(entry, Function):
                    made[first] = self._kit.call(full)
        for first, below in deeper.items():
            made[first] = self._node(f"{path}.{first}" if path else first, below)
        return made

    def knows(self, name: str) -> bool:
        """Return whether the instrument has a function or attribute of this dotted name."""
        return name in self._entries

    def branch(self, path: str, found: Mapping[Any, Any], entries: Mapping[str, Entry] | None = None) -> Any:
        """Return a table of what scripts find elsewhere, too, with names of its own below ``path``."""
        own = dict(entries or {})
        children = {**found, **self._branches(path, own)}
        known = [name for name, entry in own.items() if isinstance(entry, Attribute)]
        table = self._runtime.table_from
        return self._kit.node(path, table(children), table(dict.fromkeys(known, True)), False)

    # -- running -------------------------------------------------------------------------------

    def load(self, text: str) -> Any:
        """Return a function of the script ``text``.

        Raises
        ------
        TspError
            Its syntax is wrong.
        """
        try:
            made, why = self._pair(self._kit.compile(text))
        except self._lua51.LuaError as error:
            raise self._ran_out(str(error)) from error
        if made is None:
            raise TspError(SYNTAX, f"TSP Syntax error{_placed(why)}")
        return made

    def define(self, name: str, text: str) -> None:
        """Keep a script under a global name; it is called like a function."""
        self._kit.define(name, self.load(text))

    def run(self, made: Any) -> Generator[float]:
        """Run a function; yields the simulated time [s] at which it wants to go on.

        Raises
        ------
        TspError
            What it did wrong, or which bound it met.
        """
        self._kit.start(made)
        while True:
            self._failure = self._crash = None
            try:
                state, why = self._pair(self._kit.resume())
            except self._lua51.LuaError as error:
                raise self._ran_out(str(error)) from error
            if self._crash is not None:
                raise self._crash
            if state == "done":
                return
            if state == "failed":
                failure: TspError | None = self._failure
                if failure is not None:
                    raise failure
                if "not enough memory" in why:
                    raise self._ran_out(why)
                raise TspError(RUNTIME, f"TSP Runtime error{_placed(why)}")
            wait: Wait | None = self._wait
            assert wait is not None
            yield wait.until

    @staticmethod
    def _pair(found: Any) -> tuple[Any, str]:
        first, second = found if isinstance(found, tuple) else (found, "")
        return first, str(second or "")

    def _ran_out(self, why: str) -> TspError:
        """Begin with an empty Lua: what filled it is gone."""
        self.begin()
        return TspError(OUT_OF_MEMORY, f"Out of memory: {why[:80]}")

    # -- what Lua calls ------------------------------------------------------------------------

    def _host(self, what: str, path: str = "", *given: Any) -> tuple[Any, ...]:
        """Do what a script asks of the instrument; no exception of ours enters Lua."""
        try:
            return self._answer(self._do(what, path, [_taken(value) for value in given]))
        except TspError as error:
            self._failure = error
        except BaseException as error:
            self._crash = error
        return ("error",)

    def _do(self, what: str, path: str, given: list[Any]) -> Any:
        if what == "resume":
            wait = self._wait
            assert wait is not None
            return wait.finish()
        entry = self._entries.get(path)
        if what == "get":
            assert isinstance(entry, Attribute)
            return entry.get()
        if what == "put":
            if not isinstance(entry, Attribute) or entry.put is None:
                raise TspError(RUNTIME, f"TSP Runtime error: {path} cannot be set")
            entry.put(given[0] if given else None)
            return None
        if what == "item":
            assert isinstance(entry, Items)
            return entry.item(int(given[0])) if abs(given[0]) < _ITEMS_MAX else None
        assert isinstance(entry, Function)
        try:
            (self._shapes.get(path) or self._shape(path, entry)).bind(*given)
        except TypeError:
            raise TspError(RUNTIME, f"TSP Runtime error: {path} does not take {len(given)} arguments") from None
        return entry.call(*given)

    def _shape(self, path: str, entry: Function) -> Signature:
        return self._shapes.setdefault(path, signature(entry.call))

    def _answer(self, found: Any) -> tuple[Any, ...]:
        if isinstance(found, Wait):
            self._wait = found
            return ("wait",)
        if isinstance(found, Made):
            return ("made", found.path)
        return ("fine", *(found if isinstance(found, tuple) else (found,)))


def _taken(value: Any) -> Any:
    """Return what a script handed over as the instrument takes it; a table becomes a list of its numbered entries."""
    if not isinstance(value, str):
        return value
    if value.startswith(_TABLE):
        return [_number(text) for text in value[1:].split(_TABLE)] if len(value) > 1 else []
    return Named(value[1:]) if value.startswith(_MARK) else value


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _nothing(_object: object, name: object, _is_setting: bool) -> str:
    raise AttributeError(name)


def _placed(why: str) -> str:
    """Return what Lua says, as the instrument puts it."""
    found = _PLACE.search(why)
    text = _PLACE.sub("", why, count=1)
    return f" at line {found[1]}: {text}" if found else f": {text}"
