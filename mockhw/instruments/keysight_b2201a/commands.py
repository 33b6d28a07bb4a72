"""Command table of the simulated B2201A, in the order of the B2200A/B2201A User's Guide, chapter 5."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...scpi.arguments import Boolean, Choice, Integer, Text
from ...scpi.device import Hold
from ...scpi.errors import ScpiError
from ...scpi.tree import Command
from .channels import INPUTS, Card, CardNumber, ChannelList, Ports

if TYPE_CHECKING:
    from .card import CardState, PortMode
    from .matrix import Entries, Matrix

_CARD = Card()
_ONE_CARD = Card(everything=False)
_LIST = ChannelList()


def matrix_commands(box: Matrix) -> list[Command]:
    """Return every command of ``box``."""
    return [
        *_route(box),
        *_mode(box, "BIAS", lambda card: card.bias),
        *_mode(box, "AGND", lambda card: card.ground),
        *_couple(box),
        *_diagnosis(box),
        *_system(box),
    ]


def _flags(values: list[bool]) -> str:
    return ",".join("1" if value else "0" for value in values)


def _per_card(
    box: Matrix,
    pattern: str,
    parameter: Boolean | Choice | Integer | Ports,
    get: Callable[[CardState], str],
    put: Callable[[CardState, object], None],
) -> list[Command]:
    """Return command and query of something every card has for itself."""

    def write(number: CardNumber, value: object) -> Hold | None:
        for card in box.chosen(number):
            put(card, value)
        return box.settle_relays()

    def read(number: CardNumber) -> str:
        return get(box.card(number))

    return [Command(pattern, write, (_CARD, parameter)), Command(pattern + "?", read, (_ONE_CARD,))]


def _route(box: Matrix) -> list[Command]:
    def is_open(entries: Entries) -> str:
        return _flags([not closed for closed in box.closed(entries)])

    def is_closed(entries: Entries) -> str:
        return _flags(box.closed(entries))

    def set_rule(card: CardState, word: object) -> None:
        card.rule = str(word)

    def set_sequence(card: CardState, word: object) -> None:
        card.sequence = str(word)

    return [
        Command("[ROUTe]:FUNCtion", box.configure, (Choice("configuration", ("ACONfig", "NCONfig")),)),
        Command("[ROUTe]:FUNCtion?", lambda: box.configuration),
        *_per_card(box, "[ROUTe]:CONNection:RULE", Choice("rule", ("FREE", "SROUte")), lambda c: c.rule, set_rule),
        *_per_card(
            box,
            "[ROUTe]:CONNection:SEQuence",
            Choice("sequence", ("NSEQ", "BBM", "MBBR")),
            lambda c: c.sequence,
            set_sequence,
        ),
        Command("[ROUTe]:CLOSe[:LIST]", box.close, (_LIST,)),
        Command("[ROUTe]:CLOSe[:LIST]?", is_closed, (_LIST,)),
        Command("[ROUTe]:CLOSe:CARD?", box.closed_list, (_ONE_CARD,)),
        Command("[ROUTe]:OPEN[:LIST]", box.open, (_LIST,)),
        Command("[ROUTe]:OPEN[:LIST]?", is_open, (_LIST,)),
        Command("[ROUTe]:OPEN:CARD", box.open_card, (_CARD,)),
        *_symbols(box),
    ]


def _symbols(box: Matrix) -> list[Command]:
    def channel(number: CardNumber, output: int, text: str) -> None:
        for card in box.chosen(number):
            card.path(1, output)
            box.symbols["CHAN", card.number, output] = text

    def read_channel(number: CardNumber, output: int) -> str:
        card = box.card(number)
        card.path(1, output)
        return f'"{box.symbols.get(("CHAN", card.number, output), f"{output:02d}")}"'

    def port(number: int, text: str) -> None:
        box.symbols["PORT", 0, number] = text

    def read_port(number: int) -> str:
        return f'"{box.symbols.get(("PORT", 0, number), f"{number:02d}")}"'

    ports = Integer("input port", low=1, high=INPUTS)
    return [
        Command("[ROUTe]:SYMBol:CHANnel", channel, (_CARD, Integer("output port", low=1), Text("symbol"))),
        Command("[ROUTe]:SYMBol:CHANnel?", read_channel, (_ONE_CARD, Integer("output port", low=1))),
        Command("[ROUTe]:SYMBol:PORT", port, (ports, Text("symbol"))),
        Command("[ROUTe]:SYMBol:PORT?", read_port, (ports,)),
    ]


def _mode(box: Matrix, name: str, which: Callable[[CardState], PortMode]) -> list[Command]:
    root = f"[ROUTe]:{name}"

    def set_mode(card: CardState, on: object) -> None:
        card.set_mode(which(card), bool(on))

    def set_port(card: CardState, port: object) -> None:
        assert isinstance(port, int)
        card.set_port(which(card), port)

    def outputs(entries: Entries) -> list[tuple[CardState, int]]:
        return [(card, path[1]) for card, path in box.paths(entries)]

    def switch(word: str, on: bool) -> list[Command]:
        def by_list(entries: Entries) -> Hold | None:
            return box.enable(which, outputs(entries), on=on)

        def by_card(number: CardNumber) -> Hold | None:
            return box.enable(which, [(c, output) for c in box.chosen(number) for output in c.outputs], on=on)

        def read(entries: Entries) -> str:
            return _flags([(output in which(card).enabled) is on for card, output in outputs(entries)])

        return [
            Command(f"{root}:CHANnel:{word}[:LIST]", by_list, (_LIST,)),
            Command(f"{root}:CHANnel:{word}[:LIST]?", read, (_LIST,)),
            Command(f"{root}:CHANnel:{word}:CARD", by_card, (_CARD,)),
        ]

    return [
        *_per_card(box, f"{root}[:STATe]", Boolean("state"), lambda c: "1" if which(c).on else "0", set_mode),
        *_per_card(box, f"{root}:PORT", Integer("port", low=-1, high=INPUTS), lambda c: str(which(c).port), set_port),
        *switch("ENABle", True),
        *switch("DISable", False),
    ]


def _couple(box: Matrix) -> list[Command]:
    def quoted(ports: frozenset[int]) -> str:
        return f"'{','.join(map(str, sorted(ports)))}'"

    def set_couple(card: CardState, on: object) -> None:
        if on and {mode.port for mode in (card.bias, card.ground) if mode.on} & {
            port + side for port in card.couples for side in (0, 1)
        }:
            raise ScpiError(-221, "a couple port is the port of a mode that is on")
        card.couple = bool(on)

    def set_couples(card: CardState, ports: object) -> None:
        assert isinstance(ports, frozenset)
        card.set_couples(ports)

    def set_unused(card: CardState, ports: object) -> None:
        assert isinstance(ports, frozenset)
        card.set_unused(ports)

    def detect() -> None:
        """Find no Kelvin cable: the mock has none."""
        for card in box.cards.values():
            card.set_couples(frozenset())

    return [
        *_per_card(box, "[ROUTe]:AGND:UNUSed", Ports(), lambda c: quoted(c.unused), set_unused),
        *_per_card(box, "[ROUTe]:COUPle[:STATe]", Boolean("state"), lambda c: "1" if c.couple else "0", set_couple),
        *_per_card(box, "[ROUTe]:COUPle:PORT", Ports(), lambda c: quoted(c.couples), set_couples),
        Command("[ROUTe]:COUPle:PORT:DETect", detect),
    ]


def _diagnosis(box: Matrix) -> list[Command]:
    def forget(number: CardNumber) -> None:
        for slot in list(box.tested) if number == "ALL" else [box.slot(number)]:
            box.tested.pop(slot, None)

    def result(number: CardNumber) -> str:
        return str(box.tested.get(box.slot(number), -1))

    items = Choice("item", ("CONTroller", "FPANel", "LED", "PEN", "BEEPer"))
    return [
        Command("DIAGnostic:TEST:CARD[:EXECute]?", box.test_card, (_CARD,)),
        Command("DIAGnostic:TEST:CARD:STATus?", result, (_ONE_CARD,)),
        Command("DIAGnostic:TEST:CARD:CLEar", forget, (_CARD,)),
        Command("DIAGnostic:TEST:FRAMe[:EXECute]?", lambda _: "0", (items,)),  # pyright: ignore[reportUnknownLambdaType]
    ]


def _system(box: Matrix) -> list[Command]:
    def power_on(number: CardNumber) -> Hold | None:
        for card in box.chosen(number):
            card.reset()
        return box.settle_relays()

    def description(number: CardNumber) -> str:
        if number == 0:
            return f'"B2211A x {box.slots}: {INPUTS} inputs x {12 * box.slots} outputs"'
        box.slot(number)
        return f'"B2211A: {INPUTS} inputs x 12 outputs"'

    def model(number: CardNumber) -> str:
        if number != 0:
            box.slot(number)
        return "AGILENT,B2211A,0,A.01.00"

    def ignored(_: object) -> None:
        """Do what nobody sees from here."""

    state = (Boolean("state"),)
    return [
        Command("SYSTem:CPON", power_on, (_CARD,)),
        Command("SYSTem:CDEScription?", description, (_ONE_CARD,)),
        Command("SYSTem:CTYPe?", model, (_ONE_CARD,)),
        Command("SYSTem:CCONfig?", model, (_ONE_CARD,)),
        Command("SYSTem:BEEPer", ignored, state),
        Command("SYSTem:DISPlay:LCD", ignored, state),
        Command("SYSTem:DISPlay:LED", ignored, state),
        Command("SYSTem:DISPlay:STRing", ignored, (Text("string"),)),
        Command("SYSTem:KLC", ignored, state),
        Command("SYSTem:PEN", ignored, state),
    ]
