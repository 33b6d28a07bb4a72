"""A probe station's cables: which instrument terminal is tied to which line of the chip, and what flows.

Instruments own :class:`.Terminal` objects and change them only through :meth:`.Terminal.set`, so that the chip has
lived under the old bias up to that moment. The switch matrix moves relays; relays moved under voltage pay for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ..passive_chip.chip import Bias, PassiveChip, Solution
from .relays import Path, Relays
from .terminal import Terminal
from .waves import Stretch, Wave, live_through

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..instrument import BenchLog
    from ..sim_clock import SimClock

GROUND: Final = "ground"
_GROUND_OHMS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Measured:
    """What a terminal sees: ``volts`` [V] at its end of the cable, ``amps`` [A] delivered, whether it ``limited``."""

    volts: float
    amps: float
    limited: bool


class ProbeCircuit:
    """Terminals, matrix and chip.

    Parameters
    ----------
    chip : PassiveChip
    clock : SimClock
    log : BenchLog
    inputs : mapping of int to str
        Matrix input port → terminal; ``"ground"`` is the bench's own 0 V.
    outputs : sequence of int
        Matrix output port of every line of the chip: its rows, then its columns.
    relay_ohms : float [Ω]
        A closed path through the matrix and its cables.
    """

    def __init__(
        self,
        chip: PassiveChip,
        clock: SimClock,
        log: BenchLog,
        *,
        inputs: Mapping[int, str],
        outputs: Iterable[int],
        relay_ohms: float,
    ) -> None:
        self.chip = chip
        self.inputs = dict(inputs)
        self.outputs = tuple(outputs)
        self.relays = Relays()
        self.place: Callable[[str], None] | None = None
        """Puts the probes on a device, by its name, where somebody does."""
        self._line_of = {port: line for line, port in enumerate(self.outputs)}
        self._clock = clock
        self._log = log
        self._relay_ohms = relay_ohms
        ground = Terminal(self, GROUND, ohms=_GROUND_OHMS, on=True)
        self.terminals: dict[str, Terminal] = {GROUND: ground}
        self._lived_to = clock.now
        self._bias: Bias | None = None
        self._source: NDArray[np.int64] | None = None
        self._line_ohms = np.full(len(self.outputs), relay_ohms)
        self._shorted: dict[int, tuple[str, ...]] = {}
        self._waves: list[Wave] = []

    def terminal(self, name: str, *, ohms: float = 0.0, delay: float = 0.0) -> Terminal:
        """Make the terminal ``name``."""
        made = self.terminals[name] = Terminal(self, name, ohms=ohms, delay=delay)
        self.changed()
        return made

    # --- time ---------------------------------------------------------------------------------

    def settle(self, now: float) -> None:
        """Let the chip live under the present bias up to ``now`` [s]."""
        start = self._lived_to
        if now > start:
            self._lived_to = now
            if not self._waves:
                self.chip.hold(self.bias(), now - start)
                return
            for stretch in live_through(self._waves, start, now):
                self._live(stretch)

    def play(
        self, now: float, volts: Mapping[Terminal, NDArray[np.float64]], seconds: NDArray[np.float64], repeats: int
    ) -> None:
        """Let terminals go through stairs of ``volts`` [K], each for ``seconds`` [K], over and over, from ``now`` on.

        The time it takes is lived through by the chip; the clock is the caller's business.
        """
        self.settle(now)
        self._live(Stretch(dict(volts), seconds, repeats))
        self._lived_to = now + float(seconds.sum()) * repeats

    def add_wave(self, wave: Wave) -> None:
        """Let a terminal go through ``wave`` by itself from now on; at other times it is at its ``volts``."""
        self._waves.append(wave)

    def remove_wave(self, now: float, wave: Wave) -> None:
        """Stop ``wave`` at ``now`` [s], wherever in its period it is."""
        self.settle(now)
        self._waves.remove(wave)

    def _live(self, stretch: Stretch) -> None:
        bias = self.bias()
        order = list(self.terminals.values())
        moving = {order.index(terminal): levels for terminal, levels in stretch.volts.items()}
        if not np.isin(bias.source, list(moving)).any():
            self.chip.hold(bias, stretch.total)
            return
        waves = np.repeat(bias.volts[None, :], stretch.seconds.size, axis=0)
        for index, levels in moving.items():
            waves[:, index] = levels
        self.chip.play(bias, waves, stretch.seconds, stretch.repeats)

    # --- what flows ---------------------------------------------------------------------------

    def measure(self, terminal: Terminal, now: float, *, aperture: float | None = None) -> Measured:
        """Return what ``terminal`` sees at ``now`` [s], with one draw of every cell's noise.

        ``aperture`` [s] is how long the meter averages: its bandwidth, as far as the cells' noise goes. None: as
        long as the chip's noise is given for. A wave counts with the level its terminal rests at: what a meter
        averages over is not followed in time.
        """
        self.settle(now)
        bias = self.bias()
        at = list(self.terminals.values()).index(terminal)
        if not terminal.on:
            return Measured(0.0, 0.0, False)
        if not self._shorted and not np.any(bias.source == at):
            return Measured(terminal.volts, 0.0, False)
        solution = self.chip.measure(bias, aperture=aperture)
        if any(terminal.name in names for names in self._shorted.values()):
            return self._measured_short(terminal, solution)
        return Measured(float(solution.source_volts[at]), float(solution.source_amps[at]), bool(solution.limited[at]))

    def present(self) -> Solution:
        """Return every voltage and current now, without noise; for tests and relays."""
        return self.chip.solve(self.bias())

    def bias(self) -> Bias:
        """Return what is tied to the chip's lines now."""
        if self._bias is None:
            self._bias = self._tie()
        return self._bias

    def changed(self, *, ties: bool = True) -> None:
        """Forget the bias: a terminal has moved, or with ``ties`` what is tied to what."""
        self._bias = None
        if ties:
            self._source = None

    # --- the matrix ---------------------------------------------------------------------------

    def switch(self, now: float, *, close: Iterable[Path] = (), open: Iterable[Path] = ()) -> None:
        """Move relays at ``now`` [s]; those that carry voltage or current when they move are harmed."""
        self.settle(now)
        for path in open:
            if path in self.relays.closed:
                self._move(now, path, closing=False)
        for path in close:
            if path not in self.relays.closed:
                self._move(now, path, closing=True)

    def _move(self, now: float, path: Path, *, closing: bool) -> None:
        live = self._load(path, now)
        if live:
            self._log.add(now, "matrix", f"hot switch of {path[0]}-{path[1]}: {live}")
        welded = self.relays.move(path, closing=closing, hot=bool(live))
        if welded:
            self._log.add(now, "matrix", f"relay {path[0]}-{path[1]} has welded")
        self.changed()

    def _load(self, path: Path, now: float) -> str:
        """Return what a relay would switch under load, empty when nothing."""
        terminal = self.terminals.get(self.inputs.get(path[0], ""))
        line = self._line_of.get(path[1])
        if terminal is None or not terminal.on or line is None:
            return ""
        if abs(terminal.volts) > self.relays.HOT_VOLTS:
            return f"{terminal.name} at {terminal.volts:.3g} V"
        if any(wave.terminal is terminal and wave.runs_at(now) for wave in self._waves):
            return f"{terminal.name} gives pulses"
        if path not in self.relays.closed or float(np.abs(self.bias().volts).max()) <= self.relays.HOT_VOLTS:
            return ""
        amps = float(self.present().line_amps[line])
        return f"{amps:.3g} A through {terminal.name}" if abs(amps) > self.relays.HOT_AMPS else ""

    # --- tying --------------------------------------------------------------------------------

    def _tie(self) -> Bias:
        order = list(self.terminals.values())
        volts = [terminal.volts for terminal in order]
        ohms = [terminal.ohms for terminal in order]
        limit = [terminal.limit for terminal in order]
        delay = [terminal.delay for terminal in order]
        source = self._source
        if source is None or self._shorted:
            source = self._tie_lines({terminal.name: at for at, terminal in enumerate(order)})
            for at, (line, names) in enumerate(self._shorted.items(), start=len(order)):
                # Two instruments on one line fight; the line sees what their resistances and limits make of it.
                joint_volts, joint_ohms = self._joint([self.terminals[name] for name in names])
                source[line] = at
                volts.append(joint_volts)
                ohms.append(joint_ohms)
                limit.append(math.inf)
                delay.append(0.0)
            self._source = source
        return Bias(source, self._line_ohms, np.array(volts), np.array(ohms), np.array(limit), np.array(delay))

    def _tie_lines(self, index: Mapping[str, int]) -> NDArray[np.int64]:
        """Return the source of every line, −1 where none is; note which lines have several."""
        tied: dict[int, list[str]] = {}
        for port, output in sorted(self.relays.closed):
            name, line = self.inputs.get(port, ""), self._line_of.get(output)
            if name in index and line is not None and self.terminals[name].on:
                tied.setdefault(line, []).append(name)
        source = np.full(len(self.outputs), -1, dtype=np.int64)
        shorted: dict[int, tuple[str, ...]] = {}
        for line, names in tied.items():
            source[line] = index[names[0]]
            if len(names) > 1:
                shorted[line] = tuple(names)
                if shorted[line] != self._shorted.get(line):
                    self._log.add(self._clock.now, "matrix", f"{' and '.join(names)} are tied together on one line")
        self._shorted = shorted
        return source

    def _joint(self, terminals: list[Terminal]) -> tuple[float, float]:
        """Return Thevenin voltage [V] and resistance [Ω] of terminals on one node; limited ones are current sources."""
        limited: dict[str, float] = {}
        for _ in range(len(terminals)):
            free = [t for t in terminals if t.name not in limited]
            if not free:
                break
            siemens = sum(1.0 / (t.ohms + self._relay_ohms) for t in free)
            volts = (sum(t.volts / (t.ohms + self._relay_ohms) for t in free) + sum(limited.values())) / siemens
            over = {
                t.name: math.copysign(t.limit, t.volts - volts)
                for t in free
                if abs(t.volts - volts) / (t.ohms + self._relay_ohms) > t.limit
            }
            if not over or len(over) == len(free):
                return volts, 1.0 / siemens
            limited.update(over)
        return 0.0, self._relay_ohms

    def _measured_short(self, terminal: Terminal, solution: Solution) -> Measured:
        line = next(line for line, names in self._shorted.items() if terminal.name in names)
        node = float(solution.line_volts[line])
        amps = (terminal.volts - node) / (terminal.ohms + self._relay_ohms)
        limited = abs(amps) > terminal.limit
        return Measured(node, math.copysign(min(abs(amps), terminal.limit), amps), limited)
