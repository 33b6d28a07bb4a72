"""A simulated Keysight B1500A mainframe that speaks FLEX to its SMUs.

Written from QCoDeS's driver and from memory of the programming guide. Not built: capacitance and pulse units, current
sources, pulsed, searching and multi-channel measurements, binary data, program memory, triggers, the 4142B's ways.
Its WGFMU has no FLEX commands: the vendor's library drives it (:mod:`..keysight_b1530`).

On GPIB nobody notices that a client has gone: what is under way, and what waits behind it, goes on. A client that comes
clears it, as QCoDeS's drivers do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from ...instrument import Action, BenchLog, SimulatedInstrument
from ...probe_circuit.script import Run
from ...scpi.device import Hold
from ...scpi.errors import ScpiError
from ...scpi.simulation_commands import simulation_commands
from ...scpi.tree import Command
from ...sim_clock import SimClock
from .measurements import Setup
from .session import CHANNEL, PARAMETER, SWITCHED_OFF, FlexSession, Word
from .smu import FlexSmu, told
from .specs import AMPS_CODES, OVERHEAD, SAMPLES_OF_A_CYCLE

if TYPE_CHECKING:
    from ...probe_circuit.circuit import ProbeCircuit
    from ...probe_circuit.terminal import Terminal
    from ...scpi.session import ScpiSession

SLOTS: Final = 10
SMU, WGFMU = "B1517A", "B1530A"


class KeysightB1500(SimulatedInstrument):
    """A B1500A.

    Parameters
    ----------
    address, clock, log
        See :class:`SimulatedInstrument`.
    circuit : ProbeCircuit
    smus : mapping of int to Terminal
        By slot.
    wgfmus : sequence of int
        Slots that have a B1530A.
    serial : str
    seed : int
        Draws gain and offset errors and noise.
    info : callable
        Reply to ``SIMulation:INFO?``.
    line_hertz : float [Hz]
        Mains frequency.
    """

    kind: ClassVar[str] = "keysight_b1500"

    def __init__(
        self,
        address: str,
        clock: SimClock,
        log: BenchLog,
        *,
        circuit: ProbeCircuit,
        smus: Mapping[int, Terminal],
        wgfmus: Sequence[int] = (),
        serial: str,
        seed: int,
        info: Callable[[], bytes],
        line_hertz: float = 50.0,
    ) -> None:
        self.serial, self._info, self._hertz = serial, info, line_hertz
        self._wgfmus = tuple(wgfmus)

        def note(now: float, what: str) -> None:
            log.add(now, address, what)

        self.smus = {
            slot: FlexSmu(slot, circuit, terminal, seed=seed + 7 * slot, told=note) for slot, terminal in smus.items()
        }
        self.setup = Setup()
        super().__init__(address, clock, log)

    def make_session(self) -> ScpiSession:
        """Return a session that speaks FLEX."""
        return FlexSession(self, self.clock, self.commands(), self._words())

    @property
    def identity(self) -> str:
        """The reply to ``*IDN?``."""
        return f"Keysight Technologies,B1500A,{self.serial},A.06.02.2020.0609"

    def commands(self) -> Sequence[Command]:
        """Return the simulation's own commands."""
        return simulation_commands(self.clock, self.advance, self._info)

    def connect(self, *, stream: bool = True) -> bool:
        """Let a client in; the first one clears what is under way."""
        if not self.clients:
            self.session.clear()
            self.session.dropped = self.session.torn = False
        return super().connect(stream=stream)

    def disconnect(self, *, lost: bool = True) -> None:
        """Let a client go; nothing here notices."""
        del lost
        self.clients = max(0, self.clients - 1)
        if not self.clients and self.released is not None:
            self.released()

    def reset(self) -> Hold | None:
        """``*RST``: output switches open, settings gone."""
        self.abort()
        for smu in self.smus.values():
            smu.reset(self.session.time)
        self.setup = Setup()
        return None

    def on_done(self, action: Action, *, cut: bool) -> None:
        """Note a measurement's end."""
        self.log.add(self.clock.now, self.address, f"{'abort' if cut else 'end'} {action.kind}")

    def disturb_reading(self, kind: Literal["overflow", "compliance"]) -> bool:
        """Let the next reading of every SMU overflow, or be made at its limit."""
        for smu in self.smus.values():
            smu.disturbances.add(kind)
        return True

    def shift_offset(self, amps: float) -> bool:
        """Let the SMUs read ``amps`` [A] too much from now on."""
        for smu in self.smus.values():
            smu.offset += amps
        return True

    # --- words --------------------------------------------------------------------------------

    def _words(self) -> dict[str, Word]:
        # What acts on settings is looked up when it is called: a reset puts others in their place.
        def on_setup(name: str) -> Word:
            def put(*given: str) -> Any:
                return getattr(self.setup, name)(*given)

            return put

        return {
            "*IDN?": lambda: self.identity,
            "*OPC?": lambda: "1",
            "*RST": self.reset,
            "*STB?": lambda: str(self.session.status.byte(message=self.session.message_available)),
            "*LRN?": self._learn,
            "AB": self.abort,
            "AAD": self._kept_of_channel,
            "AIT": _kept,
            "AV": self._average,
            "AZ": _kept,
            "BC": self.session_forget,
            "CL": lambda *channels: self._switch(channels, on=False),
            "CM": _kept,
            "CMM": self._side,
            "CN": lambda *channels: self._switch(channels, on=True),
            "DV": self._force,
            "DZ": self._zero,
            "ERR?": self._old_errors,
            "ERRX?": lambda *_: self.session.status.errors.pop(),
            "FL": _kept,
            "FMT": on_setup("output_format"),
            "MM": on_setup("measure"),
            "MSC": on_setup("behind"),
            "MT": on_setup("timing"),
            "MV": on_setup("bias"),
            "NUB?": lambda: "0",
            "RI": self._range,
            "RV": self._kept_of_channel,
            "TI": partial(self._look, "I"),
            "TSC": self._stamp,
            "TSR": _kept,
            "TV": partial(self._look, "V"),
            "UNT?": self._modules,
            "WM": on_setup("ending"),
            "WT": on_setup("wait"),
            "WV": on_setup("staircase"),
            "XE": self._execute,
        }

    def session_forget(self) -> None:
        """``BC``: what was measured and not read is gone."""
        self.session.output.clear()

    def _modules(self, mode: str = "0") -> str:
        del mode
        there = {**dict.fromkeys(self.smus, SMU), **dict.fromkeys(self._wgfmus, WGFMU)}
        return ";".join(f"{there.get(slot, '0')},0" for slot in range(1, SLOTS + 1))

    def _old_errors(self, *_: str) -> str:
        codes = [self.session.status.errors.pop().partition(",")[0].lstrip("+") for _ in range(4)]
        self.session.status.errors.clear()
        return ",".join(codes)

    def _learn(self, what: str) -> str:
        setup, smus = self.setup, self.smus
        number = int(what)
        if number == 0:
            on = ",".join(str(slot) for slot, smu in smus.items() if smu.output)
            return f"CN{on}" if on else "CL"
        if number == 30:
            return "FL0"
        if number == 31:
            channels = "".join(f",{one}" for one in setup.channels)
            return f"TM1;AV{setup.average};CM1;FMT{setup.form[0]},{setup.form[1]};MM{setup.mode}{channels}"
        if number == 32:
            return ";".join(f"RI {slot},{smu.current_code}" for slot, smu in smus.items())
        if number == 33:
            waits = ",".join(f"{one:.4f}" for one in setup.waits)
            said = f"WM{setup.abort},{setup.post};WT{waits}"
            if (one := setup.sweep) is not None:
                limit = "" if one.limit is None else f",{one.limit:g}"
                said += f";WV{one.channel},{one.mode},{one.code},{one.start:g},{one.stop:g},{one.steps}{limit}"
            return said
        if number == 46:
            return ";".join(f"CMM {slot},{smu.side}" for slot, smu in smus.items())
        raise ScpiError(PARAMETER, f"*LRN? {number} is not built")

    # --- channels -----------------------------------------------------------------------------

    def _smu(self, channel: str) -> FlexSmu:
        smu = self.smus.get(int(channel))
        if smu is None:
            raise ScpiError(CHANNEL, f"CH{channel}")
        return smu

    def _chosen(self, channels: Sequence[str]) -> list[FlexSmu]:
        return [self._smu(one) for one in channels] if channels else list(self.smus.values())

    def _switch(self, channels: Sequence[str], *, on: bool) -> None:
        for smu in self._chosen(channels):
            smu.switch(self.session.time, on=on)

    def _force(self, channel: str, code: str, volts: str, limit: str = "", *_: str) -> None:
        smu = self._smu(channel)
        told_limit = float(limit) if limit else None
        if not math.isfinite(float(volts)) or (told_limit is not None and not math.isfinite(told_limit)):
            raise ScpiError(PARAMETER, f"{volts}, {limit}")
        smu.force(self.session.time, int(code), float(volts), told_limit)

    def _zero(self, *channels: str) -> None:
        for smu in self._chosen(channels):
            if smu.output:
                smu.force(self.session.time, 0, 0.0)
            elif channels:
                raise ScpiError(SWITCHED_OFF, f"CH{smu.slot}")

    def _range(self, channel: str, code: str, *_: str) -> None:
        number = int(code)
        if number and abs(number) not in AMPS_CODES:
            raise ScpiError(PARAMETER, f"current range {code}")
        self._smu(channel).current_code = number

    def _side(self, channel: str, side: str) -> None:
        self._smu(channel).side = int(side)

    def _kept_of_channel(self, channel: str, *_: str) -> None:
        self._smu(channel)

    def _average(self, number: str, mode: str = "0") -> None:
        count = int(number)
        if not (1 <= count <= 1023 or -100 <= count <= -1):
            raise ScpiError(PARAMETER, f"AV {number}")
        self.setup.cycles = float(-count) if count < 0 else count / SAMPLES_OF_A_CYCLE
        self.setup.average = f"{count},{int(mode)}"

    def _stamp(self, on: str) -> None:
        self.setup.stamps = bool(int(on))

    # --- measurements -------------------------------------------------------------------------

    @property
    def reading_seconds(self) -> float:
        """What one reading takes [s]."""
        return self.setup.cycles / self._hertz + OVERHEAD

    def _look(self, quantity: str, channel: str, code: str = "") -> Hold:
        smu = self._smu(channel)
        if not smu.output:
            raise ScpiError(SWITCHED_OFF, f"CH{smu.slot}")
        until = self.session.time + self.reading_seconds

        def finish() -> str:
            amps_code = int(code) if code and quantity == "I" else None
            found = smu.read(until, self.setup.cycles, self._hertz, amps_code)
            value = found.amps if quantity == "I" else found.volts
            return told(smu.letter, quantity, found.status, value)

        return Hold(until, finish)

    def _execute(self) -> Run:
        data: list[str] = []
        start = self.session.time
        script = self.setup.script(self.smus, start, self.reading_seconds, self._hertz, data)
        run = Run("measurement", script, start, lambda: ",".join(data))
        self.start(run)
        return run


def _kept(*_: str) -> None:
    """Take what changes nothing here."""
