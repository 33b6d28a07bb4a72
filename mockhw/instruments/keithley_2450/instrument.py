"""A simulated Keithley 2450 SourceMeter with the SCPI command set of its Reference Manual (2450-901-01).

After ``*LANG TSP`` it speaks TSP, by the Lua of the simulated 2600B, once it has been switched off and on: here, once
its last client has gone. ``SCPI2400`` is not built and refused with -241.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, Final

from ....common.errors import RefusedError
from ...instrument import Action, BenchLog
from ...probe_circuit.script import Script, run_script
from ...scpi.device import Hold
from ...scpi.errors import TEXTS, ErrorQueue, ScpiError
from ...scpi.session import ScpiSession
from ...scpi.simulation_commands import simulation_commands
from ...scpi.tree import Command
from ...sim_clock import SimClock
from ...tsp.sandbox import load_lua
from .buffer import DEFAULT_BUFFERS, DEFAULT_SIZE, ReadingBuffer, when
from .calculate import calculate_commands
from .core import SourceMeterCore
from .digital import DigitalLines
from .events import ERROR, EventLog
from .measure import measure_commands
from .readings import Readings
from .script_box import ScriptBox
from .sense import sense_commands
from .settings import Settings
from .source import source_commands
from .sweeps import sweep_commands
from .system import language_commands, system_commands
from .trigger.commands import block_commands
from .trigger.config_lists import ConfigLists
from .trigger.list_commands import list_commands
from .trigger.model import KINDS, TriggerModel

if TYPE_CHECKING:
    from ...probe_circuit.circuit import ProbeCircuit
    from ...probe_circuit.terminal import Terminal

SCPI: Final = "SCPI"
TSP: Final = "TSP"
# Where this instrument's words differ from the standard's.
_TEXTS: Final = {-222: "Parameter data out of range"}
_EVENT_LOG_LENGTH: Final = 1000


class Keithley2450(SourceMeterCore):
    """A 2450.

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

    kind: ClassVar[str] = "keithley_2450"

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
        self.readings = Readings(self)
        self.lists = ConfigLists(self)
        self.trigger = TriggerModel(self, self.readings, self.lists)
        self.lines = DigitalLines(self)
        self.events = EventLog(self._stamp)
        self.language = self._chosen = SCPI
        self._box: ScriptBox | None = None
        super().__init__(address, clock, log, circuit=circuit, terminal=terminal, seed=seed, line_hertz=line_hertz)
        self._keep_errors()

    def _keep_errors(self) -> None:
        errors = self.session.status.errors
        errors.nothing = '0,"No error;0;0 0"'
        errors.write = self._error_text
        errors.places = _EVENT_LOG_LENGTH

    # --- languages ----------------------------------------------------------------------------

    def choose_language(self, language: str) -> None:
        """``*LANG``: speak another language from the next power-on.

        Raises
        ------
        ScpiError
            -241 for one that is not built, or when there is no Lua.
        """
        if language not in (SCPI, TSP):
            raise ScpiError(-241, f"the simulator speaks SCPI and TSP, not {language}")
        if language == TSP:
            try:
                load_lua()
            except RefusedError as error:
                raise ScpiError(-241, str(error)) from error
        self._chosen = language

    def make_session(self) -> ScpiSession:
        """Return a session in the language that is spoken."""
        if self.language == SCPI:
            return super().make_session()
        if self._box is None:
            self._box = ScriptBox(self, self, self.trigger, self.commands())
        own = simulation_commands(self.clock, self.advance, self._info, place=self.circuit.place)
        return self._box.session([*language_commands(self), *own])

    def session_errors(self) -> ErrorQueue:
        """Return the queue that ``eventlog`` reads."""
        return self.session.status.errors

    @property
    def now(self) -> float:
        """Simulated time of the command or script under way [s]."""
        return self.session.time if self._box is None or self.language == SCPI else self._box.now

    def connect(self, *, stream: bool = True) -> bool:
        """Let a client in."""
        if self._box is not None:
            self._box.interpreter.unheard = False
        return super().connect(stream=stream)

    def disconnect(self, *, lost: bool = True) -> None:
        """Let a client go; when it was the last one, another language that was chosen is spoken from now on."""
        super().disconnect(lost=lost)
        if not self.clients and self.language != self._chosen:
            self.brown_out()
            self.language, faults = self._chosen, self.session.faults
            self.session = self.make_session()
            self.session.faults = faults
            self._keep_errors()

    def abort(self) -> None:
        """Cut what runs short; a script that switches the output off, or resets, goes on itself."""
        if self._box is None or not self._box.interpreter.executing:
            super().abort()

    def be_busy(self, script: Script, first: float, *, prints: bool) -> Hold:
        """Go on with a script at ``first`` [s] and whenever it says."""
        return run_script(self, script, first, prints=prints)

    def on_lost(self) -> None:
        """What a script that runs on prints after its client has gone, nobody hears."""
        if self._box is not None:
            self._box.interpreter.unheard = True

    def brown_out(self) -> None:
        """Be as after power-on: globals and scripts are gone, too."""
        super().brown_out()
        if self._box is not None:
            self._box.forget()

    # --- the instrument -----------------------------------------------------------------------

    @property
    def identity(self) -> str:
        """The reply to ``*IDN?``."""
        return f"KEITHLEY INSTRUMENTS,MODEL 2450,{self.serial},1.7.12b"

    def commands(self) -> Sequence[Command]:
        """Return the command table."""
        return [
            *source_commands(self),
            *sweep_commands(self, self.readings, self.trigger, self.lists),
            *list_commands(self, self.lists),
            *sense_commands(self),
            *measure_commands(self, self.readings, self.trigger),
            *block_commands(self, self.trigger, self.events),
            *calculate_commands(self),
            *self.lines.commands(),
            *self.events.commands(),
            *language_commands(self),
            *system_commands(self, self.trigger, self.events),
            *simulation_commands(self.clock, self.advance, self._info, place=self.circuit.place),
        ]

    def reset(self) -> Hold | None:
        """``*RST``: defaults, output off, user buffers gone, default buffers empty."""
        self.abort()
        if self._box is not None:
            self._box.reset()
        self.turn_off(self.now)
        self.settings = Settings()
        self.buffers = {name: ReadingBuffer(name, DEFAULT_SIZE, continuous=True) for name in DEFAULT_BUFFERS}
        self.trigger.reset()
        self.lists.reset()
        self.lines.reset()
        self.limit_results.clear()
        self.drive(self.now)
        return None

    def on_done(self, action: Action, *, cut: bool) -> None:
        """Note how the trigger model came to its end."""
        if action.kind in KINDS:
            self.trigger.ended(cut=cut)
            self.log.add(self.clock.now, self.address, f"{'abort' if cut else 'end'} {action.kind}")

    def _error_text(self, code: int, detail: str) -> str:
        """Return an entry of the event log: number, message, type 1 (error), time."""
        if detail:
            self.log.add(self.clock.now, self.address, f"error {code}: {detail}")
        text = _TEXTS.get(code) or TEXTS.get(code) or detail
        # What is wrong with a script is said with its line.
        return self.events.add(ERROR, code, detail if self.language == TSP and detail else text)

    def _stamp(self) -> str:
        time = when(self.clock.now)
        return f"{time:%Y/%m/%d %H:%M:%S}.{time.microsecond // 1000:03d}"
