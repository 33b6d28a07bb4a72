"""The modules of a simulated B2201A and their relays: what its commands act on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from ...instrument import Action, BenchLog, SimulatedInstrument
from ...scpi.device import Hold
from ...scpi.errors import ScpiError
from ...sim_clock import SimClock
from .card import CardState, Path, PortMode
from .channels import OUTPUTS_PER_CARD, CardNumber, Channel, digits, expand

if TYPE_CHECKING:
    from ...probe_circuit.circuit import ProbeCircuit

_RELAY_SECONDS: Final = 1e-3  # assumed: a reed relay moves and stops bouncing
_TEST_SECONDS: Final = 10.0  # assumed: relay test of one module

Entries = tuple[tuple[Channel, Channel], ...]


class SwitchAction:
    """Relays on their way: one step after the other.

    Parameters
    ----------
    circuit : ProbeCircuit
    start : float [s]
    steps : sequence
        What opens and what closes in each step; contacts move at its end.
    """

    kind = "SWITCH"

    def __init__(
        self, circuit: ProbeCircuit, start: float, steps: Sequence[tuple[Iterable[Path], Iterable[Path]]]
    ) -> None:
        self._circuit = circuit
        self._steps = [(start + _RELAY_SECONDS * (at + 1), *step) for at, step in enumerate(steps)]
        self.ends_at = self._steps[-1][0]

    @property
    def next_event(self) -> float:
        """When contacts move next [s]."""
        return self._steps[0][0] if self._steps else self.ends_at

    def run_to(self, now: float) -> bool:
        """Move what has had its time by ``now`` [s]."""
        while self._steps and self._steps[0][0] <= now:
            at, opening, closing = self._steps.pop(0)
            self._circuit.switch(at, open=sorted(opening), close=sorted(closing))
        return not self._steps

    def cut(self, now: float) -> float:
        """Finish: relays under way cannot be called back."""
        while self._steps:
            _, opening, closing = self._steps.pop(0)
            self._circuit.switch(now, open=sorted(opening), close=sorted(closing))
        return now


class Matrix(SimulatedInstrument):
    """Switch matrix; its commands are in :class:`.KeysightB2201A`.

    Parameters
    ----------
    address, clock, log
        See :class:`SimulatedInstrument`.
    circuit : ProbeCircuit
        Whose relays it moves.
    serial : str
        Stands in ``*IDN?`` where the real instrument has 0.
    cards : int
        Number of modules, in slots 1…``cards``.
    info : callable
        Makes the block of ``SIMulation:INFO?``.
    """

    def __init__(
        self,
        address: str,
        clock: SimClock,
        log: BenchLog,
        *,
        circuit: ProbeCircuit,
        serial: str,
        cards: int = 4,
        info: Callable[[], bytes],
    ) -> None:
        if not 1 <= cards <= 4:
            raise ValueError(f"{cards} modules: the mainframe has slots for 1 to 4")
        self.circuit = circuit
        self.serial = serial
        self.slots = cards
        self.info = info
        self.tested: dict[int, int] = {}
        self.symbols: dict[tuple[str, int, int], str] = {}
        self._configure("ACON")
        super().__init__(address, clock, log)

    def reset(self) -> Hold | None:
        """Do ``*RST``: auto configuration, everything open, no mode on."""
        self.abort()
        return self.configure("ACON")

    def on_done(self, action: Action, *, cut: bool) -> None:
        """Write down that contacts have settled."""
        del cut
        self.log.add(action.ends_at, self.address, f"{len(self.circuit.relays.asked)} paths closed")

    # --- configuration ------------------------------------------------------------------------

    def configure(self, word: str) -> Hold | None:
        """``ROUTe:FUNCtion``: one matrix of all modules (ACON), or each for itself (NCON); opens everything."""
        self._configure(word)
        self.symbols.clear()
        return self._move([(set(self.circuit.relays.asked), set())])

    def _configure(self, word: str) -> None:
        self.configuration = word
        every = range(1, self.slots * OUTPUTS_PER_CARD + 1)
        if word == "ACON":
            self.cards = {0: CardState(0, every)}
        else:
            size = OUTPUTS_PER_CARD
            self.cards = {
                number: CardState(number, every[(number - 1) * size : number * size])
                for number in range(1, self.slots + 1)
            }

    def card(self, number: CardNumber) -> CardState:
        """Return a card.

        Raises
        ------
        ScpiError
            -222 when the configuration has none of this number.
        """
        if number == "ALL" or number not in self.cards:
            raise ScpiError(-222, f"card {number}; in {self.configuration} there are {', '.join(map(str, self.cards))}")
        return self.cards[number]

    def chosen(self, number: CardNumber) -> list[CardState]:
        """Return the cards a command is for."""
        return list(self.cards.values()) if number == "ALL" else [self.card(number)]

    def paths(self, entries: Entries) -> list[tuple[CardState, Path]]:
        """Return what a channel list names, in its order."""
        outputs = max(len(card.outputs) for card in self.cards.values())
        named: list[tuple[CardState, Path]] = []
        for number, port, output in expand(entries, outputs):
            card = self.card(number)
            named.append((card, card.path(port, output)))
        return named

    # --- relays -------------------------------------------------------------------------------

    def close(self, entries: Entries) -> Hold | None:
        """``ROUTe:CLOSe``: all of the list or, if one channel cannot be, nothing."""
        named = self.paths(entries)
        for card, path in named:
            card.check_direct(path[0])
        for card, path in named:
            card.connect([path])
        return self.settle_relays()

    def open(self, entries: Entries) -> Hold | None:
        """``ROUTe:OPEN``."""
        named = self.paths(entries)
        for card, path in named:
            card.check_direct(path[0])
        for card, path in named:
            card.disconnect([path])
        return self.settle_relays()

    def open_card(self, number: CardNumber) -> Hold | None:
        """``ROUTe:OPEN:CARD``; what bias or ground mode connects is connected afterwards."""
        for card in self.chosen(number):
            card.wanted.clear()
        return self.settle_relays()

    def closed(self, entries: Entries) -> list[bool]:
        """Return which channels of a list are closed, as the instrument believes."""
        return [path in self.circuit.relays.asked for _, path in self.paths(entries)]

    def closed_list(self, number: CardNumber) -> str:
        """``ROUTe:CLOSe:CARD?``."""
        card = self.card(number)
        mine = sorted(path for path in self.circuit.relays.asked if path[1] in card.outputs)
        return f"(@{','.join(digits((card.number, port, card.own_output(output))) for port, output in mine)})"

    def settle_relays(self) -> Hold | None:
        """Move relays until every card has what it wants; the parser waits for them."""
        closed = self.circuit.relays.asked
        steps: list[tuple[set[Path], set[Path]]] = []
        for card in self.cards.values():
            for at, (opening, closing) in enumerate(card.moves(closed)):
                if at == len(steps):
                    steps.append((set(), set()))
                steps[at][0].update(opening)
                steps[at][1].update(closing)
        return self._move(steps)

    def _move(self, steps: list[tuple[set[Path], set[Path]]]) -> Hold | None:
        steps = [step for step in steps if step[0] or step[1]]
        if not steps:
            return None
        self.abort()  # a device clear lets commands overtake relays that are on their way
        self.start(SwitchAction(self.circuit, self.session.time, steps))
        return Hold()

    # --- modes --------------------------------------------------------------------------------

    def enable(
        self, which: Callable[[CardState], PortMode], named: Iterable[tuple[CardState, int]], *, on: bool
    ) -> Hold | None:
        """Let bias or ground mode use outputs, or no longer."""
        for card, output in named:
            (which(card).enabled.add if on else which(card).enabled.discard)(output)
        return self.settle_relays()

    # --- tests --------------------------------------------------------------------------------

    def test_card(self, number: CardNumber) -> Hold:
        """``DIAGnostic:TEST:CARD?``: opens everything and finds relays that have stayed closed."""
        slots = list(range(1, self.slots + 1)) if number == "ALL" else [self._slot(number)]
        for card in self.cards.values():
            card.wanted.clear()
            card.bias.on = card.ground.on = False
        self._move([(set(self.circuit.relays.asked), set())])
        self.abort()

        def finish() -> str:
            welded = {(output - 1) // OUTPUTS_PER_CARD + 1 for _, output in self.circuit.relays.welded}
            self.tested.update({slot: int(slot in welded) for slot in slots})
            return str(max(self.tested[slot] for slot in slots))

        return Hold(self.session.time + _TEST_SECONDS * len(slots), finish)

    def _slot(self, number: int) -> int:
        if not 1 <= number <= self.slots:
            raise ScpiError(-222, f"slot {number}; modules are in 1 to {self.slots}")
        return number

    def slot(self, number: CardNumber) -> int:
        """Return a slot number that has a module in it."""
        if number == "ALL":
            raise ScpiError(-224, "ALL is for commands only")
        return self._slot(number)
