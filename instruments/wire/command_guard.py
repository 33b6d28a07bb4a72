"""The last check before bytes leave: text commands that carry a limited quantity are read and judged."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product

from ...common.errors import RefusedError
from ..limits import Limits

_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:\s*[Ee]\s*[+-]?\d+)?)\s*([A-Za-z]*)")
# A macro, a saved setup or defaults may hold anything: of the common commands only these are sent as text.
_COMMON = frozenset(
    {
        "*CLS", "*ESE", "*ESE?", "*ESR?", "*IDN?", "*LANG?", "*OPC", "*OPC?", "*OPT?", "*PSC?", "*SRE", "*SRE?",
        "*STB?", "*TRG", "*TST?", "*WAI",
    }
)  # fmt: skip
_START = 3
_REMEMBERED = 256
_SETTING = re.compile(r"(:?[A-Za-z][A-Za-z0-9_:]*) ([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[Ee][+-]?[0-9]+)?)")
_HEADER = re.compile(r":?[A-Za-z][A-Za-z0-9_:]*\??")
_SUFFIX = re.compile(r"\[\d(?:\|\d)*\]")
_OPTIONAL = re.compile(r"\[([^\]]*)\]|([^\[\]]+)")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_ASKED_FOR = re.compile(r"MIN(?:IMUM)?|MAX(?:IMUM)?|DEF(?:AULT)?", re.IGNORECASE)
_NOT_FINITE = re.compile(r"[+-]?\s*(?:NAN|N?INF(?:INITY)?)", re.IGNORECASE)
_PREFIX = {
    "": 1.0, "EX": 1e18, "PE": 1e15, "T": 1e12, "G": 1e9, "MA": 1e6, "K": 1e3, "M": 1e-3, "U": 1e-6, "N": 1e-9,
    "P": 1e-12, "F": 1e-15, "A": 1e-18,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rule:
    """What one command carries.

    Attributes
    ----------
    header : str
        As in a manual: ``"[:SOURce[1]]:VOLTage[:LEVel]"``, capitals are the short form, nodes and numeric suffixes in
        brackets may be missing. A last node ``*`` stands for everything below, and for nothing.
    arguments : dict of argument index to (name of the check in :class:`Limits`, unit)
    every : (name, unit)
        The same for a command that takes a list: every argument is checked.
    only : tuple of str
        The words the command may set, in a manual's spelling; others are refused.
    why : str
        Why other words are refused and what to do, when it is not obvious.
    method : str
        When given, the command is never sent as text; the message names this method instead.
    refusal : str
        When given, the command is never sent, though it may be asked; a sentence that says why and what to do.
    """

    header: str
    arguments: dict[int, tuple[str, str]] = field(default_factory=dict[int, tuple[str, str]])
    every: tuple[str, str] | None = None
    only: tuple[str, ...] = ()
    method: str = ""
    refusal: str = ""
    why: str = ""

    @property
    def plain(self) -> bool:
        """Whether nothing but its arguments by number is judged."""
        return not (self.every or self.only or self.method or self.refusal)


class CommandGuard:
    """Reads program messages as an instrument would and refuses what exceeds the limits.

    Where instruments differ (abbreviations, numeric suffixes, paths of compound messages) every reading is judged, so
    a lenient instrument cannot be talked into more than a strict one.

    Parameters
    ----------
    rules : tuple of Rule
        What is judged.
    limits : callable
        What holds now.
    allowed : tuple of str
        Spelled as the header of a rule: what else may be sent as text. Questions may always be asked. Recall of setups,
        protection, language and power-on state are kinds that no list of what is forbidden would keep up with
        (decision 0026).
    """

    def __init__(
        self, rules: tuple[Rule, ...], limits: Callable[[], Limits], allowed: tuple[str, ...] | None = None
    ) -> None:
        self._limits = limits
        self._allowed = None if allowed is None else [_nodes(one) for header in allowed for one in _variants(header)]
        self._rules: dict[str, list[tuple[list[tuple[str, str]], Rule]]] = {}
        for rule in rules:
            for header in _variants(rule.header):
                nodes = _nodes(header)
                start = nodes[0][0][:_START]
                self._rules.setdefault(start if len(start) == _START else "", []).append((nodes, rule))
        self._passed: set[str] = set()
        self._settings: dict[str, Rule | None] = {}

    def check(self, message: str) -> None:
        """Refuse ``message`` when it carries a value outside the limits, a NaN, a block or several lines."""
        if message in self._passed:
            return
        # A sweep sets one thing to many values: a header that was judged with a plain number is not read again.
        setting = _SETTING.fullmatch(message)
        if setting is not None and setting[1] in self._settings:
            self._judge_setting(setting[1], setting[2])
            return
        self._judge_message(message)
        if setting is not None:
            rule = self._rule_for(_nodes_given(setting[1]))
            if len(self._settings) < _REMEMBERED and (rule is None or rule.plain):
                self._settings[setting[1]] = rule
            return
        # Queries and settings repeat; the limits of an open instrument do not change.
        if len(self._passed) < _REMEMBERED:
            self._passed.add(message)

    def _judge_message(self, message: str) -> None:
        text = message.strip()
        if not text.isascii():
            raise RefusedError(f"{_shown(text)} holds characters that are not ASCII: instruments do not read them")
        if "\n" in text or "\r" in text:
            raise RefusedError(f"{_shown(text)} holds several lines: send one message at a time")
        for header, readings, rest in _units(text):
            words = False
            if not header.endswith("?"):
                self._require_allowed(readings)
            for reading in readings:
                words = self._judge(reading, header.endswith("?"), rest) or words
            if not words:
                self._refuse_oddities(header, rest)

    def _judge_setting(self, header: str, number: str) -> None:
        """Judge ``header number`` by the rule the header has."""
        rule = self._settings[header]
        if rule is not None and 0 in rule.arguments:
            name, unit = rule.arguments[0]
            self._limits().check(name, float(number), channel=rule.header, unit=unit)

    def _rule_for(self, nodes: list[str]) -> Rule | None:
        for pattern, rule in (*self._rules.get(nodes[0][:_START], ()), *self._rules.get("", ())):
            if _matches(nodes, pattern):
                return rule
        return None

    def _judge(self, nodes: list[str], query: bool, rest: str) -> bool:
        """Refuse what the rule of this header does not allow; return whether its argument was judged as a word."""
        rule = self._rule_for(nodes)
        if rule is None or (query and _ASKED_FOR.fullmatch(rest.strip())):
            return False
        if rule.method:
            raise RefusedError(f"{rule.header} is not sent as text, its block could not be checked: use {rule.method}")
        arguments = [argument.strip() for argument in split_outside_quotes(rest, ",")]
        if query and not rest.strip():
            return False
        if rule.refusal and not query:
            raise RefusedError(f"{rule.header.removesuffix(':*')} is refused: {rule.refusal}")
        if rule.only and not query:
            _refuse_other_words(rest.strip(), rule)
            return True
        checks = rule.arguments if rule.every is None else dict.fromkeys(range(len(arguments)), rule.every)
        if rule.arguments.keys() == {0} and len(arguments) > 1:
            raise RefusedError(f"{rule.header} {_shown(rest.strip())}: it takes one value, only that can be checked")
        for index, (name, unit) in checks.items():
            if index < len(arguments):
                value = _number(arguments[index], unit, rule.header)
                self._limits().check(name, value, channel=rule.header, unit=unit)
        return False

    def _require_allowed(self, readings: list[list[str]]) -> None:
        """Refuse a command that is on no list, as the path before it leads to it and by itself.

        What a rule or a list names whole is what it is; a ``*`` makes no command of another kind pass for one below it.
        """
        if self._allowed is None:
            return
        for nodes in readings:
            found = self._rule_for(nodes) is not None
            pattern = None if found else next((one for one in self._allowed if _matches(nodes, one)), None)
            if not found and pattern is None:
                raise RefusedError(
                    f"{':'.join(nodes)} is refused: it is not among the commands that are sent as text, because a "
                    "setup, a language or a protection it changes cannot be checked; use the driver's methods, and "
                    "write whole headers in a message of several commands"
                )
            if pattern is None or pattern[-1][1] != "*":
                return

    def _refuse_oddities(self, header: str, rest: str) -> None:
        for argument in split_outside_quotes(rest, ","):
            if _NOT_FINITE.fullmatch(argument.strip()):
                raise RefusedError(f"{header} {argument.strip()}: only finite numbers are sent to an instrument")
            if "#" in _QUOTED.sub("", argument):
                raise RefusedError(f"{header} carries a binary block: blocks are sent by the driver's methods only")


class Commands:
    """Some commands by a name of ours, to be found in text that has been checked.

    Parameters
    ----------
    headers : name → header, spelled as that of a :class:`Rule`
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._patterns = [(name, _nodes(one)) for name, header in headers.items() for one in _variants(header)]
        self._known: dict[str, str | None] = {}

    def found(self, text: str) -> Iterator[tuple[str, str]]:
        """Yield name and argument of every command of these that ``text`` sets, in its order."""
        # A sweep by hand sets one thing to many values: its header is looked for once.
        setting = _SETTING.fullmatch(text)
        if setting is not None and setting[1] in self._known:
            name = self._known[setting[1]]
            if name is not None:
                yield name, setting[2]
            return
        for header, readings, rest in _units(text.strip()):
            found = None if header.endswith("?") else self._name(readings)
            if setting is not None and len(self._known) < _REMEMBERED:
                self._known[setting[1]] = found
            if found is not None:
                yield found, rest.strip()

    def _name(self, readings: list[list[str]]) -> str | None:
        return next((name for nodes in readings for name, one in self._patterns if _matches(nodes, one)), None)

    @staticmethod
    def number(text: str, unit: str) -> float:
        """Return the number of an argument, in ``unit``; ValueError where it is none."""
        try:
            return _number(text, unit, "")
        except RefusedError as error:
            raise ValueError(text) from error


def _units(text: str) -> Iterator[tuple[str, list[list[str]], str]]:
    """Yield of every command of a message, the common ones aside: its header, the nodes it may mean, its argument."""
    path: list[str] = []
    for unit in split_outside_quotes(text, ";"):
        stripped = unit.strip()
        if stripped.startswith("*"):
            _refuse_common(stripped)
        if not stripped or stripped.startswith("*"):
            continue
        header, rest = _split_header(stripped)
        nodes = _nodes_given(header)
        readings = [nodes] if header.startswith(":") or not path else [path + nodes, nodes]
        yield header, readings, rest
        path = readings[0][:-1]


def split_outside_quotes(text: str, separator: str) -> Iterator[str]:
    """Yield the parts of ``text`` between separators that are not inside quotes."""
    if '"' not in text and "'" not in text:
        yield from text.split(separator)
        return
    start, quote = 0, ""
    for place, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character == separator:
            yield text[start:place]
            start = place + 1
    yield text[start:]


def _refuse_common(unit: str) -> None:
    header = unit.split(maxsplit=1)[0].upper()
    if header == "*RCL":
        raise RefusedError(f"{_shown(unit)}: a saved setup may hold any voltage; set what you need instead")
    if header == "*RST":
        raise RefusedError(
            "*RST puts back defaults that know nothing of the limits: use reset(), which sets them again"
        )
    if header not in _COMMON:
        raise RefusedError(f"{_shown(unit)} is refused: of the common commands {', '.join(sorted(_COMMON))} are sent")


def _split_header(unit: str) -> tuple[str, str]:
    match = _HEADER.match(unit)
    rest = unit[match.end() :] if match else unit
    if match is None or (rest and rest[0] > " "):
        raise RefusedError(f"{_shown(unit)} is not a command: write HEADER, a space, then what it is to be set to")
    return match.group(), rest


def _nodes_given(header: str) -> list[str]:
    """Return the nodes of a header as it was written, in capitals."""
    return [node.upper() for node in header.lstrip(":").rstrip("?").split(":")]


def _variants(header: str) -> list[str]:
    """Return a manual's spelling with every choice of its optional nodes: ``"A[:B]"`` is ``"A"`` and ``"A:B"``."""
    choices = [
        ("", optional) if optional else (fixed,) for optional, fixed in _OPTIONAL.findall(_SUFFIX.sub("", header))
    ]
    return [re.sub(":+", ":", "".join(chosen)).strip(":") for chosen in product(*choices)]


def _refuse_other_words(word: str, rule: Rule) -> None:
    if word[:1] in {"'", '"'} and word[-1:] == word[:1]:
        word = word[1:-1]
    for allowed in rule.only:
        short = "".join(c for c in allowed if not c.islower())
        if allowed.upper().startswith(word.upper()) and len(word) >= len(short):
            return
    why = f"; {rule.why}" if rule.why else ""
    raise RefusedError(f"{rule.header} {_shown(word)} is refused: on this bench it is {' or '.join(rule.only)}{why}")


def _nodes(header: str) -> list[tuple[str, str]]:
    """Return (short, long) of every node of a manual's spelling."""
    return [("".join(c for c in node if not c.islower()), node.upper()) for node in header.split(":")]


def _matches(nodes: list[str], pattern: list[tuple[str, str]]) -> bool:
    if pattern[-1][1] == "*":
        pattern = pattern[:-1]
        nodes = nodes[: len(pattern)]
    if len(nodes) != len(pattern):
        return False
    for given, (short, whole) in zip(nodes, pattern, strict=True):
        name = given.rstrip("0123456789") or given
        if not (whole.startswith(name) and len(name) >= len(short)):
            return False
    return True


def _number(text: str, unit: str, header: str) -> float:
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise RefusedError(
            f"{header} {_shown(text)}: write a plain number in {unit or 'units of one'} so it can be checked"
        )
    suffix = match.group(2).upper()
    value = float(re.sub(r"\s", "", match.group(1)))
    if suffix:
        scale = _PREFIX.get(suffix.removesuffix(unit.upper())) if suffix.endswith(unit.upper()) else None
        if scale is None:
            raise RefusedError(
                f"{header} {_shown(text)}: unit {match.group(2)!r} is not understood, write {unit} or nothing"
            )
        value *= scale
    return value


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
