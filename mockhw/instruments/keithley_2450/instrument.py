"""A simulated Keithley 2450 SourceMeter with the SCPI command set of its Reference Manual (2450-901-01).

TSP is not built: ``*LANG TSP`` (and ``SCPI2400``) is refused with -241.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, Final

from ...instrument import Action, BenchLog
from ...scpi.device import Hold
from ...scpi.errors import TEXTS
from ...scpi.simulation_commands import simulation_commands
from ...scpi.tree import Command
from ...sim_clock import SimClock
from .buffer import DEFAULT_BUFFERS, DEFAULT_SIZE, ReadingBuffer, when
from .calculate import calculate_commands
from .core import SourceMeterCore
from .digital import DigitalLines
from .events import ERROR, EventLog
from .measure import measure_commands
from .readings import Readings
from .sense import sense_commands
from .settings import Settings
from .source import source_commands
from .sweeps import sweep_commands
from .system import system_commands
from .trigger.commands import block_commands
from .trigger.config_lists import ConfigLists
from .trigger.list_commands import list_commands
from .trigger.model import KINDS, TriggerModel

if TYPE_CHECKING:
    from ...probe_circuit.circuit import ProbeCircuit
    from ...probe_circuit.terminal import Terminal

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
        super().__init__(address, clock, log, circuit=circuit, terminal=terminal, seed=seed, line_hertz=line_hertz)
        errors = self.session.status.errors
        errors.nothing = '0,"No error;0;0 0"'
        errors.write = self._error_text
        errors.places = _EVENT_LOG_LENGTH

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
            *system_commands(self, self.trigger, self.events),
            *simulation_commands(self.clock, self.advance, self._info, place=self.circuit.place),
        ]

    def reset(self) -> Hold | None:
        """``*RST``: defaults, output off, user buffers gone, default buffers empty."""
        self.abort()
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
        return self.events.add(ERROR, code, _TEXTS.get(code) or TEXTS.get(code) or detail)

    def _stamp(self) -> str:
        time = when(self.clock.now)
        return f"{time:%Y/%m/%d %H:%M:%S}.{time.microsecond // 1000:03d}"
