"""Driver of an array board that follows ``docs/board-protocol.md``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any, cast

from numpy.typing import ArrayLike, NDArray
from qcodes.instrument import VisaInstrument

from ...common.errors import RefusedError
from ..abilities import (
    ConvertsByRamp,
    Multiplies,
    MultipliesReversed,
    Parts,
    Samples,
    Saturates,
    Sweeps,
    UpdatesByOuterProduct,
    VerifiesOnBoard,
)
from ..array_spec import ArraySpec, ability_of
from ..block import Block
from ..capabilities import Clock, Cost, Delivered, IVTrace, Kind, PulseMap, Reading, Trace, Verified, VerifyRequest
from ..chip.chip_file import load_chip
from ..chip.wear_ledger import WearLedger
from ..drivers.carried_limits import named_in_station, resolved
from ..errors import ConnectionLostError, ReplyLostError
from ..limits import Limits
from ..wire.binding import SyncBinding
from ..wire.command_guard import CommandGuard
from ..wire.doors import GuardedInstrument, alone
from ..wire.parts import Wire
from .mount import mounted
from .outputs.ramps import BoardRamps
from .outputs.saturation import BoardSaturation
from .parameters import add_settings, add_update_settings
from .products import BoardProducts, BoardReverseProducts
from .pulses import BoardPulses
from .reads import BoardReads, BoardSamples
from .rules import ALLOWED, RULES
from .session import BoardSession
from .spec import READ_VOLTS_DEFAULT, REVISION_2, BoardCapability, Diagnosis
from .sweeps import BoardSweeps
from .updates import BoardUpdates
from .verify import BoardVerifies
from .watchdog import Watchdog

if TYPE_CHECKING:
    import numpy as np

    from ..chip.chip_file import Chip

_GOING_IDLE = (("stop", "ABOR"), ("0 V", "SOUR:ZERO"), ("array disconnected", "OUTP OFF"))
# Who makes instruments of other kinds; a board says what it is in its capability record only.
_OTHER_MAKERS = re.compile(
    r"KEITHLEY|KEYSIGHT|AGILENT|HEWLETT|TEKTRONIX|ROHDE|YOKOGAWA|NATIONAL INSTR|STANFORD|LAKE ?SHORE|ZURICH|RIGOL|"
    r"SIGLENT|ADVANTEST|ANRITSU|LECROY|KEPCO|OXFORD",
    re.IGNORECASE,
)
# What every use of an open board looks at first.
_NEEDS_A_LINK = frozenset({"wire", "_session", "_clock", "capability", "session"})


class CrossbarBoard(GuardedInstrument, VisaInstrument):
    """An array test board: reads, pulses, and what else it says it can do.

    Limits are checked before anything is encoded; what leaves as text is checked once more by the command guard. An
    action that is interrupted, by Ctrl-C or by an error, stops the board before the exception goes on. Several threads
    may use one board: an action is done whole before the next one begins.

    Parameters
    ----------
    name, address, kwargs
        As for QCoDeS's ``VisaInstrument``.
    chip : Chip, or the path of a chip file
        What sits on the board; without one, the whole board with the driver's limits. Opened by a stock QCoDeS station
        that names neither chip nor limits, the board applies nothing.
    limits : mapping
        Narrows the limits of driver, board and chip; from the station file.
    """

    def __init__(
        self,
        name: str,
        address: str | None = None,
        *,
        chip: Chip | str | PathLike[str] | None = None,
        limits: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if chip is None and limits is None:
            named = named_in_station(name)
            if named is not None:
                chip, limits = named.chip, named.limits
        on_it = load_chip(resolved(chip)) if isinstance(chip, str | PathLike) else chip
        self._binding = SyncBinding()
        wire = Wire(
            name,
            binding=self._binding,
            going_idle=_GOING_IDLE,
            safe_when=("OUTP?", "0"),
            hangup_effect="which makes the board disconnect the array",
            sent=self._fed,
        )
        self._hold(wire)
        self._dog = Watchdog(wire.exchange)
        self._board: BoardSession | None = None
        with self._opening():
            super().__init__(name, address, **kwargs)
            self._mount(on_it, limits or {})
            self._narrow_defaults()
            self.connect_message()

    # -- opening -----------------------------------------------------------------------------------------------------

    def _fed(self) -> None:
        self._dog.fed()

    def _is_ours(self, maker: str, model: str) -> bool:
        return not _OTHER_MAKERS.search(maker)

    def _wanted(self) -> str:
        return "an array board"

    def make_safe(self) -> None:
        """Whatever the last user left behind: 0 V, then disconnected, then the documented defaults.

        The first time the board is asked what it is before: another instrument is told nothing.
        """
        if self._board is None:
            self.capability = self._ask_capability()
        self.wire.exchange.tell("*CLS;:ABOR;:SOUR:ZERO;:OUTP OFF")
        self.wire.exchange.act("*RST")
        self._forget_settings()

    def _ask_capability(self) -> BoardCapability:
        try:
            text = bytes(self.wire.exchange.ask_block(b"SYST:CAP?", None)).decode("utf-8", errors="replace")
        except ReplyLostError:
            raise
        except ConnectionLostError as error:
            who = self.identity
            raise ConnectionLostError(
                f"{error}; {who.model or 'a nameless instrument'} of {who.maker or 'nobody'} answered *IDN? there: "
                "is it an array board?"
            ) from error
        capability = BoardCapability.from_json(text, source=f"{self.name} at {self.place}")
        if capability.protocol == REVISION_2:
            self._binding.use_tags()
        return capability

    def _mount(self, chip: Chip | None, limits: Mapping[str, float]) -> None:
        can = self.capability
        makers: dict[type, Callable[[BoardSession], object]] = {
            Sweeps: BoardSweeps,
            Samples: BoardSamples,
            Multiplies: BoardProducts,
            MultipliesReversed: BoardReverseProducts,
            UpdatesByOuterProduct: lambda session: BoardUpdates(session, self.parameters),
            VerifiesOnBoard: BoardVerifies,
            ConvertsByRamp: BoardRamps,
            Saturates: BoardSaturation,
        }
        offered = can.abilities(1 if chip is None else chip.polarity)
        kinds = {kind: make for kind, make in makers.items() if ability_of(kind).name in offered}
        mount = mounted(
            can,
            chip,
            limits,
            name=self.name,
            place=self.place,
            supports=frozenset(ability_of(kind).name for kind in kinds),
        )
        self.guard = guard = CommandGuard(RULES, lambda: mount.limits, ALLOWED)
        self._board = session = BoardSession(self.wire, mount, guard, self._dog)
        session.restore = self._restore
        self._clock = session.clock
        if can.simulated:
            self.ask_simulation()
        if can.protocol == REVISION_2 and not self.identity.birth:
            birth = self.wire.exchange.query("CHIP:BIRT?").strip().strip('"')
            self.wire.recovery.identity = replace(self.identity, birth=birth)
        session.settings.parameters.update(add_settings(self, mount))
        if UpdatesByOuterProduct in kinds:
            add_update_settings(self, mount)
        self._reads, self._pulses = BoardReads(session), BoardPulses(session)
        self._parts = Parts(self.name, {kind: make(session) for kind, make in kinds.items()})

    @property
    def session(self) -> BoardSession:
        """What the actions of this board share."""
        if self._board is None:
            raise RefusedError(f"{self.name} is not open")
        return self._board

    def _narrow_defaults(self) -> None:
        """Set what the board's own defaults leave beyond the limits: a product opens every gate at one of them."""
        mount = self.session.mount
        limits, can = mount.limits, mount.can
        narrow: dict[str, float] = {}
        if limits.read_volts_max < READ_VOLTS_DEFAULT:
            narrow["SOUR:READ:VOLT"] = mount.polarity * limits.read_volts_max
        if can.gate_axis is not None and limits.gate_max < can.read_gate_default:
            narrow["SOUR:READ:GATE"] = limits.gate_max
            if "vmm" in can.supports:
                narrow["SOUR:VMM:GATE"] = limits.gate_max
        self.session.settings.configure(narrow)

    @alone
    def reset(self) -> None:
        """Set 0 V, disconnect, and put back the defaults that the limits allow."""
        self.make_safe()
        self._narrow_defaults()

    def _restore(self) -> None:
        """Set up again, after a power failure, what was set up when it was opened, and what was set by hand since."""
        by_hand = (self.parameters["read_range"], self.parameters["watchdog"])
        self.wire.faults.power_failed = False
        known = [(parameter, parameter.cache.get(get_if_invalid=False)) for parameter in by_hand]
        self._forget_settings()
        self._narrow_defaults()
        for parameter, value in known:
            if value is not None:
                parameter.set(value)

    def _forget_settings(self) -> None:
        if self._board is not None:
            self._board.forget()

    # -- what it is --------------------------------------------------------------------------------------------------

    @property
    def spec(self) -> ArraySpec:
        """What this array is and can do."""
        return self.session.mount.spec

    @property
    def limits(self) -> Limits:
        """What may be applied: the driver's limits, narrowed by board, chip and station."""
        return self.session.mount.limits

    @property
    def cost(self) -> Cost:
        """Totals since the bench was opened."""
        closed: Cost | None = self.__dict__.get("_closed_cost")
        return self.session.total if closed is None else closed

    @property
    def clock(self) -> Clock:
        """The bench's time."""
        return self.session.clock

    @clock.setter
    def clock(self, clock: Clock) -> None:
        self.session.clock = clock

    @property
    def wear(self) -> WearLedger:
        """What the chip's cells have borne; a bench hands over the account of its chip."""
        return self.session.wear

    @wear.setter
    def wear(self, ledger: WearLedger) -> None:
        self.session.wear = ledger

    # -- what it does ------------------------------------------------------------------------------------------------

    def ability(self, kind: type[Kind]) -> Kind:
        """Return what this board can do beyond reading and pulsing, or refuse saying what it would need."""
        self.session  # noqa: B018 - of a closed board, that it is closed
        return self._parts.ability(kind)

    def read(
        self,
        cells: Block,
        volts: float | None = None,
        *,
        average: int = 1,
        gate: float | None = None,
        scheme: str | None = None,
    ) -> Reading:
        """Measure a block in one transaction.

        Parameters
        ----------
        volts, gate : float [V]
            Default ``spec.read_volts``, ``spec.read_gate``.
        average : int
            Conversions per cell.
        """
        self.session  # noqa: B018
        return self._reads.read(cells, volts, average=average, gate=gate, scheme=scheme)

    def read_repeated(self, cells: Block, volts: float | None = None, *, reads: int, **settings: Any) -> Reading:
        """Put every cell under ``reads`` read slots in one command; the mean is that of the last ``average`` of them.

        Needs the feature ``long_counts``; the other ``settings`` are those of :meth:`read`.
        """
        self.session  # noqa: B018
        return self._reads.read_repeated(cells, volts, reads=reads, **settings)

    def pulse(self, pulses: PulseMap) -> Delivered:
        """Apply a pulse map and return when it has been delivered.

        Raises
        ------
        RefusedError
            Before anything is written, when a value of a cell with a count above 0 is outside the limits.
        """
        self.session  # noqa: B018
        return self._pulses.pulse(pulses)

    # Short ways to the parts; a board that lacks one refuses, saying what it would need.

    def vmm(self, volts: ArrayLike, *, reverse: bool = False, full_scale: float | None = None) -> NDArray[np.float32]:
        """Return the currents [batch, cols] [A] of row voltages [batch, rows] [V]; reverse: columns in, rows out."""
        if reverse:
            return self.ability(MultipliesReversed).vmm_reversed(volts, full_scale=full_scale)
        return self.ability(Multiplies).vmm(volts, full_scale=full_scale)

    def sweep(self, row: int, col: int, volts: ArrayLike, **settings: Any) -> IVTrace:
        """Drive one cell through ``volts`` [V]: ``ability(Sweeps).sweep(…)``."""
        return self.ability(Sweeps).sweep(row, col, volts, **settings)

    def sample(self, row: int, col: int, volts: float, *, rate: float, seconds: float) -> Trace:
        """Measure one cell over time: ``ability(Samples).sample(…)``."""
        return self.ability(Samples).sample(row, col, volts, rate=rate, seconds=seconds)

    def outer_update(self, x: ArrayLike, d: ArrayLike, *, pulses: int) -> Delivered:
        """Pulse cells in proportion to xᵢ·dⱼ: ``ability(UpdatesByOuterProduct).outer_update(…)``."""
        return self.ability(UpdatesByOuterProduct).outer_update(x, d, pulses=pulses)

    def program_verify(self, request: VerifyRequest) -> Verified:
        """Run the board's own read-verify: ``ability(VerifiesOnBoard).program_verify(…)``."""
        return self.ability(VerifiesOnBoard).program_verify(request)

    def seed_updates(self, seed: int) -> None:
        """Seed the board's bit generator, 0 to 2³² − 1."""
        cast("BoardUpdates", self.ability(UpdatesByOuterProduct)).seed(seed)

    @alone
    def diagnose(self) -> Diagnosis:
        """Measure offset, reference resistor and open lines; takes the array off and on again."""
        session, exchange = self.session, self.wire.exchange
        with session.acting():
            exchange.act("OUTP OFF")
            session.on = False
            (lines,) = exchange.ask_numbers("DIAG:OPEN?", 1)
            session.ready()
            (offset,) = exchange.ask_numbers("DIAG:OFFS?", 1)
            measured, nominal = exchange.ask_numbers("DIAG:REF?", 2)
        session.count(3, 0, 0, 0.0)
        return Diagnosis(
            offset=session.mount.polarity * offset, reference=measured, reference_nominal=nominal, open=lines
        )

    def declare_silence(self, seconds: float) -> None:
        """Tell the board that nothing will be sent for ``seconds`` [s], when its watchdog would mind."""
        self._dog.declare_silence(seconds)

    # -- stopping ----------------------------------------------------------------------------------------------------

    def abort(self) -> None:
        """Stop what runs; the array stays connected at 0 V. Logs, never raises, when the board does not answer."""
        if not self._is_stripped:
            with self.wire.lock:
                self.session.abort()

    def _is_idled(self) -> None:
        if self._board is not None:
            self._board.stopped()
            self._board.wear.flush()

    def close(self) -> None:
        """Idle the array, then close the connection."""
        if "_closed_name" in self.__dict__:
            return
        name = self.name
        cost = Cost() if self._board is None else self._board.total
        super().close()
        # QCoDeS has stripped everything else: what was done stays known, what is asked of it now is refused.
        self._closed_name, self._closed_cost = name, cost

    def __getattr__(self, key: str) -> Any:
        if key in _NEEDS_A_LINK | {"_board", "_reads", "_pulses", "_parts"} and "_closed_name" in self.__dict__:
            raise RefusedError(f"{self._closed_name} is closed: use the array inside 'with … as bench:'")
        return super().__getattr__(key)
