"""A simulated Keithley 2600B: two channels and the Lua that drives them (Series 2600B Reference Manual, 2600BS-901-01).

Written from memory of the manual and from what QCoDeS's driver and public scripts send; see ``docs/probe-station.md``.
Not built: stimuli and events of the trigger model, setups, digital lines, TSP-Link, files, contact check, the factory's
scripts, prompts. Nothing is overlapped: ``waitcomplete()`` never has anything to wait for.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from ...instrument import Action, BenchLog, SimulatedInstrument
from ...probe_circuit.script import Script, run_script
from ...scpi.device import Hold
from ...scpi.errors import TEXTS
from ...scpi.simulation_commands import simulation_commands
from ...scpi.tree import Command
from ...sim_clock import SimClock
from ...tsp.interpreter import Interpreter
from ...tsp.names import RUNTIME, Entry, Named, TspError
from ...tsp.session import TspSession
from ...tsp.standard import Format
from .box_names import box_entries, column_of, localnode_entries, script_entries
from .buffers import ReadingBuffer
from .channel import Channel
from .channel_names import channel_entries
from .specs import MODELS

if TYPE_CHECKING:
    from ...probe_circuit.circuit import ProbeCircuit
    from ...probe_circuit.terminal import Terminal
    from ...scpi.session import ScpiSession
    from ...tsp.sandbox import Sandbox

_FIRMWARE: Final = "3.2.2"
_PLACES: Final = 100  # of the error queue; assumed


class Keithley2600(SimulatedInstrument):
    """A 2600B with two channels.

    Parameters
    ----------
    address, clock, log
        See :class:`SimulatedInstrument`.
    circuit : ProbeCircuit
    terminals : pair of Terminal
        Outputs of channel A and B in ``circuit``.
    model : str
        One of ``specs.MODELS``.
    serial : str
        In ``*IDN?``.
    seed : int
        Draws gain and offset errors and noise.
    info : callable
        Reply to ``SIMulation:INFO?``.
    line_hertz : float [Hz]
        Mains frequency.
    """

    kind: ClassVar[str] = "keithley_2600"

    def __init__(
        self,
        address: str,
        clock: SimClock,
        log: BenchLog,
        *,
        circuit: ProbeCircuit,
        terminals: tuple[Terminal, Terminal],
        model: str,
        serial: str,
        seed: int,
        info: Callable[[], bytes],
        line_hertz: float = 50.0,
    ) -> None:
        self.model, self.serial, self.line_hertz = model, serial, line_hertz
        self._info = info
        self.log, self.address, self.clock = log, address, clock
        self.random = random.Random(seed)
        self.format = Format()
        self.tsp = Interpreter(self)
        self.timer_start = clock.now
        self.channels = tuple(
            Channel(
                name,
                MODELS[model],
                circuit,
                terminal,
                seed=seed + 7 * index,
                line_hertz=line_hertz,
                at=lambda: self.tsp.now,
                told=lambda what: self.log.add(self.tsp.now, self.address, what),
            )
            for index, (name, terminal) in enumerate(zip(("smua", "smub"), terminals, strict=True))
        )
        self._made: dict[str, ReadingBuffer] = {}
        self.tsp.furnish(self._entries(), self._furnish)
        super().__init__(address, clock, log)
        errors = self.session.status.errors
        errors.write, errors.places = _error_text, _PLACES
        errors.nothing = "0\tQueue Is Empty"

    # --- what a base of ours asks -------------------------------------------------------------

    def make_session(self) -> ScpiSession:
        """Return a session whose messages are lines of Lua."""
        return TspSession(self, self.clock, self.commands(), execute=self.tsp.execute, knows=self.tsp.sandbox.knows)

    @property
    def identity(self) -> str:
        """The reply to ``*IDN?``."""
        return f"Keithley Instruments Inc., Model {self.model}, {self.serial}, {_FIRMWARE}"

    def commands(self) -> Sequence[Command]:
        """Return what is no script: the simulation's own commands."""
        return simulation_commands(self.clock, self.advance, self._info)

    def reset(self) -> Hold | None:
        """``reset()`` and ``*RST``: defaults, outputs off; globals and scripts stay."""
        self.tsp.catch_up()
        for channel in self.channels:
            channel.reset()
        self.format = Format()
        return None

    def brown_out(self) -> None:
        """Be as after power-on: globals, scripts and what was loading are gone, too."""
        super().brown_out()
        self._made.clear()
        self.tsp.forget()

    def connect(self, *, stream: bool = True) -> bool:
        """Let a client in."""
        self.tsp.unheard = False
        return super().connect(stream=stream)

    def on_lost(self) -> None:
        """What a script that runs on prints after its client has gone, nobody hears."""
        self.tsp.unheard = True

    def be_busy(self, script: Script, first: float, *, prints: bool) -> Hold:
        """Go on with a script at ``first`` [s] and whenever it says."""
        return run_script(self, script, first, prints=prints)

    def on_done(self, action: Action, *, cut: bool) -> None:
        """Note a script that was aborted."""
        if cut:
            self.log.add(self.clock.now, self.address, f"abort {action.kind}")

    def disturb_reading(self, kind: Literal["overflow", "compliance"]) -> bool:
        """Let the next reading overflow, or be made at the source limit; of the channel that is on."""
        channel = next((one for one in self.channels if one.output), self.channels[0])
        channel.disturbances.add(kind)
        return True

    def shift_offset(self, amps: float) -> bool:
        """Let the ammeters read ``amps`` [A] too much from now on."""
        for channel in self.channels:
            channel.offset += amps
        return True

    @property
    def now(self) -> float:
        """The time of what is executed [s]."""
        return self.tsp.now

    # --- names --------------------------------------------------------------------------------

    def _entries(self) -> dict[str, Entry]:
        table: dict[str, Entry] = {}
        for channel in self.channels:
            below = channel_entries(channel, self.buffer)
            table |= {f"{channel.name}.{name}": entry for name, entry in below.items()}
        return table | box_entries(self) | script_entries(self)

    def _furnish(self, sandbox: Sandbox, found: dict[str, Any]) -> None:
        sandbox.allow(ReadingBuffer().entries())
        shared = {name: found[name] for name in ("smua", "smub", "display", "errorqueue", "status", "format", "beeper")}
        here = sandbox.branch("localnode", shared, localnode_entries(self))
        found["localnode"] = here
        found["node"] = sandbox.branch("node", {1: here})

    def buffer(self, name: Any) -> ReadingBuffer:
        """Return the buffer a script has handed over.

        Raises
        ------
        TspError
            It is none.
        """
        words = str(name).split(".") if isinstance(name, Named) else []
        if len(words) == 1 and words[0] in self._made:
            return self._made[words[0]]
        for channel in self.channels:
            if words[:1] == [channel.name] and len(words) == 2 and words[1] in channel.buffers:
                return channel.buffers[words[1]]
        raise TspError(RUNTIME, "a reading buffer is expected")

    def column(self, name: Any) -> tuple[int, Callable[[int], float]]:
        """Return the column of a buffer that a script has handed over: its length, and what gives an entry."""
        return column_of(self, name)

    def make_buffer(self, capacity: int) -> Any:
        """Return a new buffer, as a script gets it."""
        name = f"buffer{len(self._made) + 1}"
        self._made[name] = made = ReadingBuffer(capacity)
        return self.tsp.sandbox.make(name, made.entries())

    def say(self, line: str) -> None:
        """Print a line."""
        self.tsp.say(line)


def _error_text(code: int, detail: str) -> str:
    """Return number and text of an entry of the error queue."""
    return f"{code}\t{detail or TEXTS.get(code, 'Device error')}"
