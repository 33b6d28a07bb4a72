"""A simulated Keithley 4200A-SCS that answers on KXCI: what is written here is from memory and from public programs.

Not built: capacitance and other cards, more than one pulse card, current sources, VAR2 and ratios, graphs, user
libraries, status byte and service requests, autoranging pulse measurements, load-line compensation, triggers, the solid
state relays of segments. Assumed, because no manual was at hand: what is refused is acknowledged like anything else and
is found by ``:ERROR:LAST:GET``, which keeps the first error until it is cleared; SMU outputs stay as they are when the
client goes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from ...instrument import Action, BenchLog, SimulatedInstrument
from ...scpi.device import Hold
from ...scpi.errors import TEXTS, ScpiError
from ...scpi.simulation_commands import simulation_commands
from ...scpi.tree import Command
from ...sim_clock import SimClock
from .pulse_card import PulseCard
from .session import KxciSession, Word
from .smu import SmuChannel, told
from .specs import AMPS, PULSE_OHMS, range_for
from .system_mode import SystemMode

if TYPE_CHECKING:
    from ...probe_circuit.circuit import ProbeCircuit
    from ...probe_circuit.terminal import Terminal
    from ...scpi.session import ScpiSession

_NPLC: Final = {1: 0.1, 2: 1.0, 3: 10.0}
_PAGES: Final = ("US", "DE", "SS", "SM", "MD")
_ARRAYS: Final = ("TIME", "STARTV", "STOPV", "MEAS:TYPE", "MEAS:START", "MEAS:STOP")
_DATA_READY, _BUSY = 1, 16


class Keithley4200(SimulatedInstrument):
    """A 4200A-SCS with two SMUs and a 4225-PMU.

    Parameters
    ----------
    address, clock, log
        See :class:`SimulatedInstrument`.
    circuit : ProbeCircuit
    smus : tuple of Terminal
        Outputs of SMU1 and SMU2.
    pulses : tuple of Terminal
        Outputs of the two RPMs.
    serial : str
    seed : int
        Draws gain and offset errors and noise.
    info : callable
        Reply to ``SIMulation:INFO?``.
    line_hertz : float [Hz]
        Mains frequency.
    """

    kind: ClassVar[str] = "keithley_4200"
    one_client: ClassVar[bool] = True

    def __init__(
        self,
        address: str,
        clock: SimClock,
        log: BenchLog,
        *,
        circuit: ProbeCircuit,
        smus: tuple[Terminal, ...],
        pulses: tuple[Terminal, Terminal],
        serial: str,
        seed: int,
        info: Callable[[], bytes],
        line_hertz: float = 50.0,
    ) -> None:
        self.serial, self._info = serial, info
        self.circuit = circuit
        self.page = "DE"
        self.nplc = 1.0
        self.last_error: tuple[int, str] | None = None

        def note(now: float, what: str) -> None:
            log.add(now, address, what)

        self.smus = {
            number: SmuChannel(number, circuit, terminal, seed=seed + 7 * number, line_hertz=line_hertz, told=note)
            for number, terminal in enumerate(smus, start=1)
        }
        self.system = SystemMode(self.smus, lambda: self.nplc)
        for terminal in pulses:
            terminal.set(clock.now, ohms=PULSE_OHMS, on=False)
        self.card = PulseCard(circuit, pulses, clock.now, seed=seed + 101, told=note)
        super().__init__(address, clock, log)
        self.session.status.errors.write = self._latch

    def make_session(self) -> ScpiSession:
        """Return a session whose messages end with NUL and are all answered."""
        return KxciSession(self, self.clock, self.commands(), self._words(), self._enter)

    @property
    def identity(self) -> str:
        """The reply to ``*IDN?``."""
        return f"Keithley Instruments,KI4200A,{self.serial},V1.13"

    @property
    def options(self) -> str:
        """The reply to ``*OPT?``."""
        return ",".join([*(f"SMU{number}" for number in self.smus), "PMU1RPM1-1", "PMU1RPM1-2"])

    def commands(self) -> Sequence[Command]:
        """Return the simulation's own commands."""
        return simulation_commands(self.clock, self.advance, self._info)

    def reset(self) -> Hold | None:
        """``*RST``: outputs off, definitions gone."""
        self.abort()
        now = self.session.time
        for smu in self.smus.values():
            smu.release(now)
            smu.lowest = AMPS[0]
        self.card.reset(now)
        self.system.reset()
        self.page, self.nplc = "DE", 1.0
        return None

    def brown_out(self) -> None:
        """Be without power for a moment: it is a computer, whoever talked to it has to wait until it is up again."""
        super().brown_out()
        self.last_error = None
        if isinstance(self.session, KxciSession):
            self.session.hang_up()

    def on_done(self, action: Action, *, cut: bool) -> None:
        """Note a test's end."""
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

    def _enter(self, word: Word, name: str) -> None:
        if word.page and word.page != self.page:
            raise ScpiError(-221, f"{name} on page {self.page}: it belongs to {word.page}")

    def _words(self) -> dict[str, Word]:
        # What acts on the parts is looked up when it is called: a session is made before they are.
        def pmu(name: str, *first: Any) -> Word:
            return Word(lambda *given: getattr(self.card, name)(*first, *given))

        def system(name: str, page: str = "", *first: Any) -> Word:
            return Word(lambda *given: getattr(self.system, name)(*first, *given), page)

        words = {
            "*IDN?": Word(lambda: self.identity),
            "*OPT?": Word(lambda: self.options),
            "*RST": Word(self.reset),
            ":ERROR:LAST:GET": Word(self._tell_error),
            ":ERROR:LAST:CLEAR": Word(self._clear_error),
            "BC": system("clear"),
            "SP": Word(self._status),
            "IT": Word(self._integrate),
            "RG": Word(self._lowest),
            "RS": Word(_digits),
            "DV": Word(self._force, "US"),
            "TI": Word(partial(self._look, "I"), "US"),
            "TV": Word(partial(self._look, "V"), "US"),
            "CH": system("define", "DE"),
            "VR": system("linear", "SS"),
            "VL": system("listed", "SS"),
            "VC": system("constant", "SS"),
            "HT": system("wait", "SS", "hold"),
            "DT": system("wait", "SS", "delay"),
            "DM": Word(_kept, "SM"),
            "LI": Word(_kept, "SM"),
            "ME": Word(self._test, "MD"),
            "DO": system("data"),
            "RD": system("datum"),
            ":PMU:INIT": Word(self._begin_pulses),
            ":PMU:RPM:CONFIGURE": pmu("route"),
            ":PMU:PULSE:TRAIN": pmu("train"),
            ":PMU:PULSE:TIMES": pmu("times"),
            ":PMU:PULSE:BURST:COUNT": pmu("burst"),
            ":PMU:SWEEP:PULSE:AMPLITUDE": pmu("sweep"),
            ":PMU:MEASURE:MODE": pmu("mode"),
            ":PMU:MEASURE:RANGE": pmu("measure"),
            ":PMU:MEASURE:PIV": pmu("acquire"),
            ":PMU:TIMES:PIV": pmu("window"),
            ":PMU:SAMPLE:RATE": pmu("sample"),
            ":PMU:SOURCE:RANGE": pmu("put", "source_range", 10.0, 10.0),
            ":PMU:LOAD": pmu("put", "load", 1.0, 1e7),
            ":PMU:LLEC:CONFIGURE": Word(_uncompensated),
            ":PMU:SARB:WFM:SEQ:LIST": pmu("play", False),
            ":PMU:SARB:WFM:SEQ:LIST:ADD": pmu("play", True),
            ":PMU:OUTPUT:STATE": Word(self._switch_pulses),
            ":PMU:EXECUTE": Word(lambda: self.start(self.card.execute(self.session.time))),
            ":PMU:ABORT": Word(self._abort_pulses),
            ":PMU:TEST:STATUS?": Word(lambda: "1" if self._runs("pulses") else "0"),
            ":PMU:DATA:COUNT?": pmu("points"),
            ":PMU:DATA:GET": pmu("get"),
        }
        for name in _ARRAYS:
            words[f":PMU:SARB:SEQ:{name}"] = pmu("segments", name, False)
            words[f":PMU:SARB:SEQ:{name}:ADD"] = pmu("segments", name, True)
        for page in _PAGES:
            words[page] = Word(partial(setattr, self, "page", page))
        return words

    def _runs(self, kind: str) -> bool:
        return self.action is not None and self.action.kind == kind

    def _begin_pulses(self, mode: str) -> None:
        if self._runs("pulses"):
            raise ScpiError(-213, "a pulse test is running")
        self.card.begin(self.session.time, mode)

    def _switch_pulses(self, channel: str, on: str) -> None:
        self.card.switch(self.session.time, channel, on)

    # --- errors -------------------------------------------------------------------------------

    def _latch(self, code: int, detail: str) -> str:
        if self.last_error is None:
            self.last_error = (
                code,
                f"{TEXTS.get(code, 'Failure')}: {detail}" if detail else TEXTS.get(code, "Failure"),
            )
        self.log.add(self.clock.now, self.address, f"error {code}: {detail}")
        return f"{code}"

    def _tell_error(self) -> str:
        if self.last_error is None:
            return "No error. (0)"
        code, text = self.last_error
        return f"{text}. ({code})"

    def _clear_error(self) -> None:
        self.last_error = None
        self.session.status.errors.clear()

    # --- user mode ----------------------------------------------------------------------------

    def _smu(self, channel: str) -> SmuChannel:
        smu = self.smus.get(int(channel))
        if smu is None:
            raise ScpiError(-241, f"SMU{channel}")
        return smu

    def _force(self, channel: str, *rest: str) -> None:
        smu = self._smu(channel)
        if self._runs("test"):
            raise ScpiError(-213, "a test is running")
        if not rest:
            smu.release(self.session.time)
            return
        code, volts, limit = rest
        if not (math.isfinite(float(volts)) and math.isfinite(float(limit))):
            raise ScpiError(-222, f"{volts}, {limit}")
        smu.force(self.session.time, float(volts), float(limit), int(code))

    def _look(self, quantity: str, channel: str) -> Hold:
        smu = self._smu(channel)
        if not smu.output:
            raise ScpiError(-221, f"SMU{channel} is off")
        until = self.session.time + smu.reading_seconds(self.nplc)

        def finish() -> str:
            found = smu.read(until, self.nplc)
            value = found.amps if quantity == "I" else found.volts
            return told(chr(ord("A") + smu.number - 1), quantity, found.status, value)

        return Hold(until, finish)

    def _integrate(self, kind: str, *rest: str) -> None:
        number = int(kind)
        if number == 4 and len(rest) == 3:
            nplc = float(rest[2])
        elif number in _NPLC and not rest:
            nplc = _NPLC[number]
        else:
            raise ScpiError(-222, f"IT{kind}")
        if not 0.01 <= nplc <= 10.0:
            raise ScpiError(-222, f"{nplc} PLC")
        self.nplc = nplc

    def _lowest(self, channel: str, amps: str) -> None:
        self._smu(channel).lowest = range_for(AMPS, float(amps))

    # --- tests --------------------------------------------------------------------------------

    def _status(self) -> str:
        return str(_BUSY if self._runs("test") else _DATA_READY if self.system.ready else 0)

    def _test(self, what: str) -> None:
        if int(what) == 4:
            if self._runs("test"):
                self.abort()
            return
        if int(what) != 1:
            raise ScpiError(-222, f"ME{what}")
        if self.busy:
            raise ScpiError(-213, "a test is running")
        self.start(self.system.begin(self.session.time))

    def _abort_pulses(self) -> None:
        if self._runs("pulses"):
            self.abort()
        self.card.stop(self.session.time)


def _kept(*_: str) -> None:
    """Take what changes nothing here."""


def _digits(digits: str) -> None:
    if int(digits) not in range(3, 8):
        raise ScpiError(-222, f"RS{digits}")


def _uncompensated(_: str, on: str) -> None:
    if int(on):
        raise ScpiError(-222, "load-line compensation is not built")
