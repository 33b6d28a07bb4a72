"""The calls that reach ``pyarc2``, each held to the limits first: the last place before the vendor's library."""

from __future__ import annotations

import time
from collections.abc import Sequence
from traceback import clear_frames
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ....common.errors import RefusedError, XbarlabError
from ...errors import ConnectionLostError, GarbledReplyError, InstrumentError
from ...limits import Quantity
from ...wire.wire_log import WireLog
from .channels import CLUSTER, COUNT, Channels
from .slots import gate_level

if TYPE_CHECKING:
    from ...limits import Limits
    from .gates import Gates

PATIENCE = 2.0
"""How much longer [s] than it should take a program is waited for."""
_POLL = 1e-3
_LEFT_OVER = 100_000


class Calls:
    """Makes programs of a board and runs them; every number is looked at before the library gets it.

    A program is what is collected until :meth:`run`; the board carries it to its end, whether this process lives or
    not, so each ends with every channel at 0 V.

    Parameters
    ----------
    name : str
        The array's, for messages.
    library : the module ``pyarc2``, or what stands for it
    port, firmware
        What an ``Instrument`` is made with.
    channels : Channels
        Those with a line of the chip: no other may be driven away from 0 V.
    gates : Gates, optional
        Of a 1T1R chip: no other selector may be switched.
    polarity : +1 or -1
        Sign of V(row) − V(column) that SETs.
    log : WireLog, optional
        Where every call is written down.
    """

    def __init__(
        self,
        name: str,
        library: Any,
        port: int,
        firmware: str,
        *,
        channels: Channels,
        gates: Gates | None = None,
        polarity: int,
        log: WireLog | None,
    ) -> None:
        self.place = f"{name} (ArC TWO {port})"
        self._name, self._library, self._log = name.replace(" ", "_"), library, log
        self._channels, self._gates, self._polarity = channels, gates, polarity
        self._nanos = 0
        self._at_stake = False
        self._tell("*", "opened")
        self._arc: Any = self._call(
            lambda: library.Instrument(port, firmware, True), f"Instrument({port}, firmware, True)"
        )

    @property
    def is_open(self) -> bool:
        """Whether the board is held."""
        return self._arc is not None

    def close(self) -> None:
        """Let go of the board: the library closes it with its object."""
        self._tell("*", "closed")
        self._arc = None

    # --- composing a program ------------------------------------------------------------------

    def rest(self) -> None:
        """Drive every channel at 0 V."""
        self._call(
            lambda: self._arc.config_channels([(channel, 0.0) for channel in range(COUNT)], 0.0),
            "config_channels(all at 0 V, 0.0)",
            running=False,
        )
        self._nanos += 130_000

    def open_gates(self, selectors: Sequence[int], volts: float, limits: Limits) -> None:
        """Bring the gates on ``selectors`` to ``volts`` [V], and all others to 0 V."""
        known = () if self._gates is None else self._gates.lines
        stranger = [selector for selector in selectors if selector not in known]
        if stranger:
            raise RefusedError(f"{self.place}: selector {stranger[0]} has no gate of the chip: only such are switched")
        limits.check(Quantity.GATE, [volts], channel=f"{self.place} gates ")
        self._supply(float(gate_level(volts, limits)))
        self._select(list(selectors))

    def close_gates(self) -> None:
        """Switch every gate off, then its supplies to 0 V; nothing where the chip has no gates."""
        if self._gates is not None:
            self._select([])
            self._supply(0.0)

    def _select(self, selectors: list[int]) -> None:
        self._call(lambda: self._arc.config_selectors(selectors), f"config_selectors({selectors})", running=False)

    def _supply(self, volts: float) -> None:
        # Both in one call: the library takes those that it is not told to 0 V.
        which = self._library.AuxDACFn
        self._call(
            lambda: self._arc.config_aux_channels([(which.SELL, 0.0), (which.SELH, volts)]),
            f"config_aux_channels([(SELL, 0.0), (SELH, {volts})])",
            running=False,
        )
        self._nanos += 30_000

    def begin(self) -> None:
        """Begin an action: none of its pulses has been handed over."""
        self._at_stake = False

    def forget(self) -> None:
        """Begin an action, and throw away results that nobody has picked: those of a program that failed."""
        self.begin()
        for _ in range(_LEFT_OVER):
            if self._pick() is None:
                return
        raise GarbledReplyError(f"{self.place} goes on returning results that nobody asked for: switch it off and on")

    def drive(self, levels: Sequence[tuple[int, float]], limits: Limits, quantity: Quantity) -> None:
        """Drive channels at ``levels`` [V]; no cell may see more than the limit of ``quantity``."""
        self._check([level for _, level in levels], [channel for channel, _ in levels], limits, quantity)
        given = [(int(channel), float(volts)) for channel, volts in levels]
        self._call(lambda: self._arc.config_channels(given, None), f"config_channels({given}, None)", running=False)
        self._nanos += 30_000

    def pulse(
        self, levels: Sequence[tuple[int, float]], nanos: Sequence[int | None], limits: Limits, *, count: int = 1
    ) -> None:
        """Pulse channels ``count`` times from 0 V to ``levels`` [V] and back, each cluster for its time."""
        self._check([level for _, level in levels], [channel for channel, _ in levels], limits, Quantity.PULSE_VOLTS)
        times = [held for held in nanos if held is not None]
        limits.check(Quantity.WIDTH, 1e-9 * np.array(times, dtype=np.float64), channel=f"{self.place} cluster ")
        if len(nanos) != COUNT // CLUSTER or any(int(held) != held or held % 10 for held in times):
            raise RefusedError(f"{self.place}: clusters take eight widths on a grid of 10 ns, not {list(nanos)}")
        given = [(int(channel), float(volts), 0.0) for channel, volts in levels]
        held, longest = list(nanos), int(max(times))

        def train() -> None:
            # The library counts pulses of a single crosspoint only (generate_ramp): others are a call each.
            for _ in range(count):
                self._arc.pulse_slice_fast_open(given, held, True)
                self._arc.delay(longest)

        self._at_stake = True
        often = "" if count == 1 else f", {count} times"
        self._call(train, f"pulse_slice_fast_open({given}, {held}, True), delay({longest}){often}", running=False)
        self._nanos += count * (30_000 + 2 * longest)

    def look(self, channels: Sequence[int]) -> None:
        """Measure the currents out of channels when the program comes to it; :meth:`picked` returns them."""
        given = list(channels)
        self._call(
            lambda: self._arc.read_slice_open_deferred(given, True),
            f"read_slice_open_deferred({given}, True)",
            running=False,
        )
        self._nanos += 250_000

    def staircase(
        self, low: int, high: int, volts: NDArray[np.float64], nanos: int, read_volts: float, limits: Limits
    ) -> None:
        """Pulse ``low`` and ``high`` apart by each of ``volts`` [V], half on either, and read behind each.

        ``volts`` [points] are in even steps; the current out of ``high`` is measured with ``low`` at ``read_volts``.
        """
        for volt in volts.tolist():
            self._check([0.5 * volt, -0.5 * volt], [low, high], limits, Quantity.PULSE_VOLTS)
        self._check([read_volts], [low], limits, Quantity.READ_VOLTS)
        limits.check(Quantity.WIDTH, 1e-9 * nanos, channel=f"{self.place} ramp ")
        if nanos % 10:
            raise RefusedError(f"{self.place}: a ramp takes a width on a grid of 10 ns, not {nanos} ns")
        points = volts.size
        step = float(volts[-1] - volts[0]) / (points - 1) if points > 1 else 1.0
        if not np.allclose(np.diff(volts), step, rtol=0.0, atol=1e-6):
            raise RefusedError(f"{self.place}: a ramp has even steps, not {volts.tolist()} V")
        kinds, start, most = self._library, float(volts[0]), 1.0e-3
        step = step if abs(step) > 0.0 else most
        # It ends before vstop, and V(high) − V(low) is what the library calls the voltage of a pulse.
        given = (low, high, -start, -step, -(start + (points - 0.5) * step), nanos, 0, 1)
        self._at_stake = True
        self._call(
            lambda: self._arc.generate_ramp(*given, kinds.ReadAt.Arb(-read_volts), kinds.ReadAfter.Pulse),
            f"generate_ramp({', '.join(map(str, given))}, Arb({-read_volts}), Pulse)",
            running=False,
        )
        self._nanos += points * (350_000 + 2 * nanos)

    def train(self, low: int, high: int, volts: float, points: int, gap: int, period: int, limits: Limits) -> None:
        """Drive ``low`` at ``volts`` [V] and measure the current out of ``high`` ``points`` times, ``gap`` ns apart."""
        self._check([volts], [low], limits, Quantity.READ_VOLTS)
        vread = -float(volts)
        self._call(
            lambda: self._arc.generate_read_train([low], [high], vread, points, gap, False),
            f"generate_read_train([{low}], [{high}], {vread}, {points}, {gap}, False)",
            running=False,
        )
        self._nanos += points * period

    # --- running it ---------------------------------------------------------------------------

    def run(self) -> None:
        """Let the program end at 0 V, then with every gate off, run it, and wait for its end."""
        self._call(self._arc.ground_all, "ground_all()", running=False)
        self.close_gates()
        self._call(self._arc.execute, "execute()")
        self._wait(1e-9 * self._nanos)

    def picked(self, count: int) -> NDArray[np.float64]:
        """Return the oldest ``count`` results [count, channels] A that nobody has picked."""
        told: list[NDArray[np.float64]] = []
        for _ in range(count):
            one = self._pick()
            told.append(self._checked(one, COUNT))
        return np.array(told)

    def _pick(self) -> Any:
        kinds = self._library
        return self._call(
            lambda: self._arc.pick_one(kinds.DataMode.All, kinds.ReadType.Current), "pick_one(All, Current)"
        )

    def slice(self, low: int, highs: Sequence[int], volts: float, limits: Limits) -> NDArray[np.float64]:
        """Return the currents [A] out of ``highs`` at 0 V with ``low`` at ``volts`` [V]: a slice, 32 long."""
        self._check([volts], [low], limits, Quantity.READ_VOLTS)
        vread, mask = -float(volts), list(highs)
        told = self._call(
            lambda: self._arc.read_slice_masked(low, mask, vread), f"read_slice_masked({low}, {mask}, {vread})"
        )
        return self._checked(told, COUNT // 2)

    def let_go(self, channels: Sequence[int]) -> float:
        """Go to soft ground, gates off, ask what the lines are at, then float; return the largest voltage [V] seen."""
        modes, asked = self._library.IdleMode, list(channels)
        self._call(lambda: self._arc.finalise_operation(modes.SoftGnd), "finalise_operation(SoftGnd)")
        self._wait(1e-3)
        if self._gates is not None:
            self.close_gates()
            self._call(self._arc.execute, "execute()")
            self._wait(1e-3)
        seen = self._call(lambda: self._arc.vread_channels(asked, True), f"vread_channels({asked}, True)")
        self._call(lambda: self._arc.finalise_operation(modes.Float), "finalise_operation(Float)")
        self._wait(1e-3)
        return float(np.abs(np.asarray(seen, dtype=np.float64)).max())

    def _wait(self, seconds: float) -> None:
        until, self._nanos = time.monotonic() + seconds + PATIENCE, 0
        while self._call(self._arc.busy, ""):
            if time.monotonic() > until:
                raise ConnectionLostError(
                    f"{self.place} is still busy {PATIENCE:g} s after its program should have ended: look at its "
                    "lights, switch it off and on, and read before going on"
                )
            time.sleep(_POLL)

    # --- guards -------------------------------------------------------------------------------

    def _check(self, volts: Sequence[float], channels: Sequence[int], limits: Limits, quantity: Quantity) -> None:
        level = dict.fromkeys(self._channels.all, 0.0)
        stranger = [channel for channel in channels if channel not in level]
        if stranger:
            raise RefusedError(f"{self.place}: channel {stranger[0]} has no line of the chip: only such are driven")
        limits.check(Quantity.SOURCE_VOLTS, volts, channel=f"{self.place} channel ")
        level |= dict(zip(channels, volts, strict=True))
        rows, cols = ([level[line] for line in side] for side in (self._channels.rows, self._channels.cols))
        cells = [self._polarity * (max(rows) - min(cols)), self._polarity * (min(rows) - max(cols))]
        limits.check(quantity, cells, channel=f"{self.place}, largest and smallest cell voltage ")

    def _checked(self, told: Any, size: int) -> NDArray[np.float64]:
        values = np.asarray([] if told is None else told, dtype=np.float64)
        self._tell("<", f"{values.size} values")
        if values.shape != (size,):
            raise GarbledReplyError(f"{self.place} returned {values.size} values, {size} were asked for: read again")
        return values

    def _call(self, call: Any, text: str, *, running: bool = True) -> Any:
        if text:
            self._tell(">", text)
        try:
            return call()
        except XbarlabError:
            raise
        except BaseException as error:
            # The library lets go of the board with its last object: a traceback that is kept must not hold one.
            del call
            clear_frames(error.__traceback__)
            if not isinstance(error, Exception):
                raise
            said = f"{type(error).__name__}: {error}"
            self._tell("!", said)
            if running:
                raise ConnectionLostError(
                    f"{self.place} did not do {text or 'busy()'} ({said}): check its USB cable and power, that its "
                    "firmware file fits, and that no other program holds it"
                ) from error
            if self._at_stake:  # what is in its buffer is carried out when the lines are taken to 0 V
                raise ConnectionLostError(
                    f"{self.place} refused {text} ({said}) behind pulses of its program"
                ) from error
            raise InstrumentError(f"{self.place} refused {text} ({said}): no pulse was in its program") from error

    def _tell(self, direction: str, text: str) -> None:
        if self._log is not None:
            self._log.write(self._name, direction, text.encode("utf-8", "replace"))
