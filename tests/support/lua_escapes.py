"""What scripts try that want more than the instrument: names of this computer, and ways out of the Lua."""

from __future__ import annotations

import builtins
import time
from collections.abc import Generator
from contextlib import contextmanager
from types import ModuleType

import pytest

NAMES = [
    "python", "io", "os.execute", "os.remove", "os.getenv", "os.exit", "package", "debug", "require", "module",
    "coroutine", "getmetatable", "setmetatable", "getfenv", "setfenv", "rawset", "rawget", "pcall", "xpcall", "load",
    "dofile", "loadfile", "newproxy", "string.dump", "_G._G.python", "_G.io", "print.__globals__",
    "('').__class__", "localnode.python", "host", "env", "reserved",
]  # fmt: skip
HIDDEN = (".__class__", ".measure.__globals__", "._entries")
"""Behind the name of a part of an instrument."""


def escapes(part: str, call: str) -> list[str]:
    """Return lines that try to get out, by way of a ``part`` of the instrument and a ``call`` of it."""
    return [
        "loadstring('\\27Lua')()",
        "f = loadstring('return python') assert(f() == nil) f = loadstring('python.eval(\"1\")') f()",
        'python.eval(\'__import__("os").system("true")\')',
        "for name in pairs(_G) do print(name) end assert(_G.io.popen)",
        f"error({part})",
        f"error({{{part}}})",
        "table.foreach(_G, function(name, value) if name == 'python' then print(name) end end)",
        f"string.gsub('x', 'x', {call})",
        "table.sort({3, 2, 1}, function(a, b) delay(1) return a < b end)",
        "tostring(print)()",
        f"{part}.__index = print",
        "_G.print.x = 1",
        "_G._G = 1",
        "('x').rep = 1",
    ]


@contextmanager
def no_code_of_the_host(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Let a body fail as soon as Python evaluates, executes or imports anything."""

    def trap(what: object, *_: object, **__: object) -> ModuleType:
        if what == "time":  # what a datetime looks up when it is written
            return time
        raise AssertionError(f"code of the host ran: {what}")

    for name in ("eval", "exec", "__import__"):
        monkeypatch.setattr(builtins, name, trap)
    try:
        yield
    finally:
        monkeypatch.undo()
