"""A simulated Keithley 2450 SourceMeter with the SCPI command set of its Reference Manual (2450-901-01)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, Final

from ...instrument import Action, BenchLog
from ...scpi.device import Hold, Reply
from ...scpi.errors import TEXTS, ScpiError
from ...scpi.simulation_commands import simulation_commands
from ...scpi.tree import Command
from ...sim_clock import SimClock
from .buffer import DEFAULT_BUFFERS, DEFAULT_SIZE, ReadingBuffer, when
from .core import SourceMeterCore
from .measure import measure_commands
from .runs import LoopPlan, Run, SweepPlan, loop_script, readings_script, sweep_script
from .sense import sense_commands
from .settings import Settings
from .source import source_commands
from .sweeps import sweep_commands
from .system import system_commands

if TYPE_CHECKING:
    from ...probe_circuit.circuit import ProbeCircuit, Terminal

# Where this instrument's words differ from the standard's.
_TEXTS: Final = {-222: "Parameter data out of range"}
_BLOCKS_OF_A_SWEEP: Final = 9
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
        self._plan: SweepPlan | LoopPlan | None = None
        self._state = "EMPTY"
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
            *sweep_commands(self),
            *sense_commands(self),
            *measure_commands(self),
            *system_commands(self),
            *simulation_commands(self, self._info),
        ]

    def reset(self) -> Hold | None:
        """``*RST``: defaults, output off, user buffers gone, default buffers empty."""
        self.abort()
        self.turn_off(self.now)
        self.settings = Settings()
        self.buffers = {name: ReadingBuffer(name, DEFAULT_SIZE, continuous=True) for name in DEFAULT_BUFFERS}
        self._plan, self._state = None, "EMPTY"
        self.drive(self.now)
        return None

    def on_done(self, action: Action, *, cut: bool) -> None:
        """Note how the trigger model came to its end."""
        if action.kind in ("sweep", "loop"):
            self._state = "ABORTED" if cut else "IDLE"
            self.log.add(self.clock.now, self.address, f"{'abort' if cut else 'end'} {action.kind}")

    def _error_text(self, code: int, detail: str) -> str:
        """Return an entry of the event log: number, message, type 1 (error), time."""
        if detail:
            self.log.add(self.clock.now, self.address, f"error {code}: {detail}")
        text = _TEXTS.get(code) or TEXTS.get(code) or detail
        time = when(self.clock.now)
        return f'{code},"{text};1;{time:%Y/%m/%d %H:%M:%S}.{time.microsecond // 1000:03d}"'

    # --- readings -----------------------------------------------------------------------------

    def buffer(self, name: str = DEFAULT_BUFFERS[0]) -> ReadingBuffer:
        """Return the buffer ``name``.

        Raises
        ------
        ScpiError
            1115 when there is none.
        """
        found = self.buffers.get(name)
        if found is None:
            raise ScpiError(1115, f"Parameter error: reading buffer {name} does not exist")
        return found

    def read(self, name: str = DEFAULT_BUFFERS[0], *elements: str) -> Hold:
        """``:READ?``: make :SENSe:COUNt readings and return the last."""
        buffer = self.buffer(name)
        return self._make_readings(buffer, lambda: self.written(buffer, len(buffer.records), elements))

    def measure(self, function: str | None, name: str = DEFAULT_BUFFERS[0], *elements: str) -> Hold:
        """``:MEASure?``: the same after selecting ``function``."""
        if function is not None:
            self.settings.sense_function = function
        return self.read(name, *elements)

    def fetch(self, name: str = DEFAULT_BUFFERS[0], *elements: str) -> Reply:
        """``:FETCh?``: return the last reading in a buffer."""
        buffer = self.buffer(name)
        buffer.last()
        return self.written(buffer, len(buffer.records), elements)

    def fill(self, name: str = DEFAULT_BUFFERS[0]) -> Hold:
        """``:TRACe:TRIGger``: make readings, return nothing."""
        return self._make_readings(self.buffer(name), None)

    def written(self, buffer: ReadingBuffer, start: int, elements: Sequence[str], end: int | None = None) -> Reply:
        """Return the reply with readings ``start`` to ``end`` of a buffer, in the format that is set."""
        settings = self.settings
        records = buffer.part(start, start if end is None else end)
        return buffer.written(records, elements, settings.data_format, settings.byte_order, settings.precision)

    def _make_readings(self, buffer: ReadingBuffer, finish: Callable[[], Reply] | None) -> Hold:
        script = readings_script(self, self.settings.count, buffer, self.now)
        run = Run("reading", script, self.now, finish)
        self.start(run)
        self.settle(self.now)
        return run

    # --- trigger model ------------------------------------------------------------------------

    def load(self, plan: SweepPlan | LoopPlan | None) -> None:
        """Put another trigger model in place of the present one."""
        if self.action is not None and self.action.kind != "reading":
            raise ScpiError(-221, "the trigger model is running")
        self._plan = plan
        self._state = "EMPTY" if plan is None else "BUILDING"

    def initiate(self) -> None:
        """``:INITiate``: start the trigger model; it goes on by itself."""
        plan = self._plan
        if plan is None:
            raise ScpiError(-221, "the trigger model is empty")
        buffer = self.buffer(plan.buffer)
        if isinstance(plan, SweepPlan):
            run = Run("sweep", sweep_script(self, plan, buffer, self.now), self.now)
        else:
            run = Run("loop", loop_script(self, plan, buffer, self.now), self.now)
        self.start(run)
        self._state = "RUNNING"
        self.log.add(self.now, self.address, f"start {run.kind}")
        self.settle(self.now)

    def trigger_state(self) -> str:
        """``:TRIGger:STATe?``: state, state again, and the block it is at."""
        block = {"EMPTY": 0, "BUILDING": 0, "IDLE": _BLOCKS_OF_A_SWEEP}.get(self._state, _BLOCKS_OF_A_SWEEP - 3)
        return f"{self._state};{self._state};{block}"

    def set_output(self, on: bool) -> None:
        """``:OUTPut``: off also ends what runs."""
        if on:
            self.turn_on(self.now)
            return
        self.abort()
        self.turn_off(self.now)
