"""A simulated Keithley 2400 SourceMeter: a subset of the SCPI commands of its User's Manual (2400S-900-01 Rev. K).

Not built: log sweeps, source memory, trigger link and bus triggers, math and limit tests (CALCulate), binary data,
``MEASure?`` and ``CONFigure``, calibration, contact check, digital lines. Two words cannot be refused that do nothing:
``RSYNchronize`` and the moving filter, which averages like the repeating one.

Out of idle a 2400 puts off most commands until its source-measure operations are done (manual, page 11-13). So does
this one, but for the common commands and the error queue.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ...instrument import Action, BenchLog
from ...scpi.arguments import Boolean, Choice, Integer
from ...scpi.device import Hold, PutOff
from ...scpi.errors import TEXTS
from ...scpi.simulation_commands import simulation_commands
from ...scpi.tree import Command, number
from ...sim_clock import SimClock
from .core import SourceMeterCore
from .measure import measure_commands
from .sense import sense_commands
from .settings import Settings
from .source import flag, kept, nothing, source_commands

if TYPE_CHECKING:
    from ...probe_circuit.circuit import ProbeCircuit
    from ...probe_circuit.terminal import Terminal

_PLACES: Final = 10  # of the error queue
_AT_ONCE: Final = frozenset({"ABORt", "SYSTem:PRESet"})  # manual, page 11-13


class Keithley2400(SourceMeterCore):
    """A 2400.

    Parameters
    ----------
    address, clock, log
        See :class:`SimulatedInstrument`.
    circuit : ProbeCircuit
    terminal : Terminal
        Its output in ``circuit``.
    serial : str
        In ``*IDN?``.
    seed : int
        Draws its gain and offset errors and its noise.
    info : callable
        Reply to ``SIMulation:INFO?``.
    line_hertz : float [Hz]
        Mains frequency.
    """

    kind: ClassVar[str] = "keithley_2400"

    def __init__(
        self,
        address: str,
        clock: SimClock,
        log: BenchLog,
        *,
        circuit: ProbeCircuit,
        terminal: Terminal,
        serial: str,
        seed: int,
        info: Callable[[], bytes],
        line_hertz: float = 50.0,
    ) -> None:
        self.serial = serial
        self._info = info
        super().__init__(address, clock, log, circuit=circuit, terminal=terminal, seed=seed, line_hertz=line_hertz)
        errors = self.session.status.errors
        errors.write = self._error_text
        errors.places = _PLACES

    @property
    def identity(self) -> str:
        """The reply to ``*IDN?``."""
        return f"KEITHLEY INSTRUMENTS INC.,MODEL 2400,{self.serial},C30   Mar 17 2006 09:29:29/A02  /K/J"

    def commands(self) -> Sequence[Command]:
        """Return the command table."""
        own = [*source_commands(self), *sense_commands(self), *measure_commands(self), *self._system()]
        return [
            *(one if one.pattern in _AT_ONCE else replace(one, handler=self._put_off(one.handler)) for one in own),
            *simulation_commands(self.clock, self.advance, self._info, place=self.circuit.place),
        ]

    def reset(self) -> Hold | None:
        """``*RST``: defaults, output off; the buffer stays."""
        self.abort()
        self.turn_off(self.now)
        self.settings = Settings()
        self.drive(self.now)
        return None

    def on_done(self, action: Action, *, cut: bool) -> None:
        """Note how the trigger model came to its end; the buffer waits no longer."""
        if action.kind == "sweep":
            self.log.add(self.clock.now, self.address, f"{'abort' if cut else 'end'} {action.kind}")

    def _put_off(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        def when_idle(*arguments: Any) -> Any:
            return PutOff() if self.busy else handler(*arguments)

        return when_idle

    def _system(self) -> list[Command]:
        def terminals(word: str) -> None:
            if word != self.settings.terminals:
                self.set_output(on=False)  # the instrument switches its output off before it changes terminals
                self.settings.terminals = word

        def autozero(word: str) -> None:
            if word != "ONCE":
                self.settings.autozero = word == "ON"

        def preset() -> None:
            self.reset()

        def four_wire(on: bool) -> None:
            self.settings.four_wire = on

        return [
            Command("SYSTem:PRESet", preset, aborts=lambda *_: True),
            Command("SYSTem:LFRequency?", lambda: number(self.line_hertz)),
            Command("SYSTem:AZERo[:STATe]", autozero, (_OnOffOnce("state"),)),
            Command("SYSTem:AZERo[:STATe]?", lambda: flag(self.settings.autozero)),
            Command("SYSTem:RSENse", four_wire, (Boolean("state"),)),
            Command("SYSTem:RSENse?", lambda: flag(self.settings.four_wire)),
            *kept(self, "SYSTem:RCMode", Choice("mode", ("SINGle", "MULTiple")), "range_change", str),
            Command("SYSTem:BEEPer:STATe", nothing, (Boolean("state"),)),
            Command("SYSTem:TIME:RESet", lambda: None),
            Command("SYSTem:LOCal", lambda: None),
            Command("SYSTem:REMote", lambda: None),
            Command("DISPlay:ENABle", nothing, (Boolean("state"),)),
            Command("DISPlay:DIGits", nothing, (Integer("digits", low=4, high=7),)),
            Command("ROUTe:TERMinals", terminals, (Choice("terminals", ("FRONt", "REAR")),)),
            Command("ROUTe:TERMinals?", lambda: self.settings.terminals),
        ]

    def _error_text(self, code: int, detail: str) -> str:
        """Return an entry of the error queue; positive numbers are the instrument's own."""
        if detail:
            self.log.add(self.clock.now, self.address, f"error {code}: {detail}")
        return f'{code:+d},"{TEXTS.get(code) or detail}"'


class _OnOffOnce(Choice):
    """``ON``, ``OFF``, ``ONCE``, ``1`` or ``0``."""

    def __init__(self, name: str) -> None:
        super().__init__(name, ("ON", "OFF", "ONCE"))

    def convert(self, token: Any) -> str:
        """Return the word."""
        return super().convert({"1": "ON", "0": "OFF"}.get(token, token) if isinstance(token, str) else token)
