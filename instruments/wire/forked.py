"""A process that was forked from the one that opened the instruments: it owns none of them.

Its exit handlers would switch off what the parent is using, and what it says on a shared link would be answered to
whoever reads first. So everything that could send is taken from it, right after the fork.
"""

from __future__ import annotations

import atexit
import os
from contextlib import suppress
from typing import Any, NoReturn
from weakref import WeakSet

from ...common.errors import RefusedError

_kept: list[object] = []  # nothing of the parent's is closed by being forgotten


class ForkedHandle:
    """Stands where the parent has its link."""

    def __init__(self, name: str, parent: int) -> None:
        self.__dict__.update(_name=name, _parent=parent)

    def __getattr__(self, wanted: str) -> NoReturn:
        self.refuse()

    def refuse(self, *_: object, **__: object) -> NoReturn:
        """Say whose the instrument is."""
        raise RefusedError(
            f"{self.__dict__['_name']} was opened by process {self.__dict__['_parent']}, of which this is a copy: one "
            "process owns an instrument; open the bench in the process that uses it, after it was forked"
        )

    def __bool__(self) -> bool:
        return False


def keep(thing: object) -> None:
    """Keep a thing of the parent's from being closed, for as long as this process lives."""
    _kept.append(thing)


def disown_all(parent: int) -> None:
    """Take every QCoDeS instrument with a link from this process."""
    from qcodes.instrument import Instrument

    registry: Any = Instrument._all_instruments  # pyright: ignore[reportPrivateUsage]
    for name, instrument in list(registry.items()):
        if hasattr(instrument, "visa_handle"):
            del registry[name]
            disown(instrument, parent)


def disown(instrument: Any, parent: int) -> None:
    """Take an instrument from this process."""
    handle = instrument.visa_handle
    if isinstance(handle, ForkedHandle):
        return
    link = ForkedHandle(instrument.name, parent)
    keep((instrument, handle, dict(vars(instrument))))
    for door in ("write", "ask", "write_raw", "ask_raw", "idle", "make_safe", "device_clear"):
        setattr(instrument, door, link.refuse)
    instrument.close = _nothing
    instrument.visa_handle = link
    manager = getattr(getattr(handle, "visalib", None), "resource_manager", None)
    closes = getattr(manager, "_atexit_handler", None)
    if closes is not None:
        atexit.unregister(closes)
    if hasattr(handle, "_session"):
        handle._session = None  # a handle that is collected closes its session


def _nothing() -> None:
    """Close nothing."""


_process = os.getpid()
_watching = False
_ports: WeakSet[Any] = WeakSet()


def _in_child() -> None:
    global _process
    parent, _process = _process, os.getpid()
    for port in list(_ports):
        keep(port)
        port.write = ForkedHandle("the instrument", parent).refuse
    _ports.clear()
    with suppress(Exception):
        disown_all(parent)


def watch_forks(port: object) -> None:
    """Let every child that is forked from now on let go of ``port`` and of the instruments of this process."""
    global _watching  # noqa: PLW0603 - one per process
    _ports.add(port)
    if not _watching and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_in_child)
        _watching = True
