"""What runs the lines that come to an instrument: its Lua, the scripts it keeps, and the time of what is executed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, Protocol

from ..scpi.device import Hold
from ..scpi.errors import ScpiError
from ..scpi.session import ScpiSession
from ..sim_clock import SimClock
from .names import Entry
from .sandbox import Sandbox
from .scripts import ScriptMemory
from .session import TspSession


class Machine(Protocol):
    """What an interpreter needs of the instrument it belongs to."""

    clock: SimClock
    session: ScpiSession

    def be_busy(self, script: Generator[float, None, None], first: float, *, prints: bool) -> Hold:
        """Go on with a script at ``first`` [s] and whenever it says; return what holds the parser until its end."""
        ...


class Interpreter:
    """Runs Lua on an instrument.

    Parameters
    ----------
    machine : Machine

    Attributes
    ----------
    now : float [s]
        The time of what is executed.
    scripts : ScriptMemory
    unheard : bool
        Whether nobody is there to hear what a script prints.
    executing : bool
        Whether Lua runs at this moment: what it asks for cannot cut it.
    """

    sandbox: Sandbox

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.now = machine.clock.now
        self.scripts = ScriptMemory()
        self.unheard = self.executing = False

    def furnish(
        self, entries: Mapping[str, Entry], furnish: Callable[[Sandbox, dict[str, Any]], None] | None = None
    ) -> None:
        """Make the Lua, with the instrument's names in it."""
        self.sandbox = Sandbox(entries, furnish=furnish)

    def catch_up(self) -> None:
        """Something is about to be executed now."""
        self.now = self._machine.session.time

    def forget(self) -> None:
        """Be as after power-on: globals, scripts and what was loading are gone."""
        self.scripts = ScriptMemory()
        self.sandbox.begin()

    def say(self, line: str) -> None:
        """Print a line."""
        session = self._machine.session
        if not self.unheard and isinstance(session, TspSession):
            session.say(line.encode("latin-1", "replace") + b"\n")

    def execute(self, line: str) -> Any:
        """Run one line, or keep it where a script is being loaded."""
        self.catch_up()
        if self.scripts.loading:
            loaded = self.scripts.take(line)
            return None if loaded is None else self._loaded(*loaded)
        if line.strip() == "abort" or self.scripts.begins(line):
            return None
        return self.begin(self.sandbox.load(line), prints=self.scripts.prints(line))

    def _loaded(self, name: str | None, text: str, runs: bool) -> Any:
        made = self.sandbox.load(text)
        if name is not None:
            self.sandbox.define(name, text)
        return self.begin(made, prints="print" in text) if runs else None

    def begin(self, made: Any, *, prints: bool) -> Hold | None:
        """Run a function of Lua; return what holds the parser where it takes time.

        ``prints``: whether it may say something, so that a reply is waited for.
        """
        script = self._timed(self.sandbox.run(made))
        first = next(script, None)
        if first is None:
            return None
        return self._machine.be_busy(self._reported(script), first, prints=prints)

    def _timed(self, script: Generator[float]) -> Generator[float]:
        while True:
            self.executing = True
            try:
                until = next(script, None)
            finally:
                self.executing = False
            if until is None:
                return
            yield until
            self.now = until

    def _reported(self, script: Generator[float]) -> Generator[float, None, None]:
        """Go on with a script; what it does wrong goes to the error queue, for it runs while time passes."""
        try:
            yield from script
        except ScpiError as error:
            self._machine.session.status.error(error.code, error.detail)
