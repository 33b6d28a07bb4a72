"""The last check before bytes leave: text commands that carry a limited quantity are read and judged."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from .errors import RefusedError
from .limits import Limits

_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:\s*[Ee]\s*[+-]?\d+)?)\s*([A-Za-z]*)")
_START = 3
_REMEMBERED = 256
_SETTING = re.compile(r"(:?[A-Za-z][A-Za-z0-9_:]*) ([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[Ee][+-]?[0-9]+)?)")
_HEADER = re.compile(r":?[A-Za-z][A-Za-z0-9_:]*\??")
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
        As in a manual: ``"SOURce:READ:VOLTage"``, capitals are the short form.
    arguments : dict of argument index to (name of the check in :class:`Limits`, unit)
    method : str
        When given, the command is never sent as text; the message names this method instead.
    """

    header: str
    arguments: dict[int, tuple[str, str]] = field(default_factory=dict[int, tuple[str, str]])
    method: str = ""


class CommandGuard:
    """Reads program messages as an instrument would and refuses what exceeds the limits.

    Where instruments differ (abbreviations, numeric suffixes, paths of compound messages) every reading is judged, so
    a lenient instrument cannot be talked into more than a strict one.
    """

    def __init__(self, rules: tuple[Rule, ...], limits: Callable[[], Limits]) -> None:
        self._limits = limits
        self._rules: dict[str, list[tuple[list[tuple[str, str]], Rule]]] = {}
        for rule in rules:
            nodes = _nodes(rule.header)
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
            if len(self._settings) < _REMEMBERED:
                self._settings[setting[1]] = self._rule_for(_nodes_given(setting[1]))
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
        path: list[str] = []
        for unit in split_outside_quotes(text, ";"):
            stripped = unit.strip()
            if not stripped or stripped.startswith("*"):
                continue
            header, rest = _split_header(stripped)
            nodes = _nodes_given(header)
            readings = [nodes] if header.startswith(":") or not path else [path + nodes, nodes]
            for reading in readings:
                self._judge(reading, header.endswith("?"), rest)
            self._refuse_oddities(header, rest)
            path = readings[0][:-1]

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

    def _judge(self, nodes: list[str], query: bool, rest: str) -> None:
        rule = self._rule_for(nodes)
        if rule is None:
            return
        if rule.method:
            raise RefusedError(f"{rule.header} is not sent as text, its block could not be checked: use {rule.method}")
        arguments = [argument.strip() for argument in split_outside_quotes(rest, ",")]
        if query and not rest.strip():
            return
        for index, (name, unit) in rule.arguments.items():
            if index < len(arguments):
                value = _number(arguments[index], unit, rule.header)
                self._limits().check(name, value, channel=rule.header, unit=unit)

    def _refuse_oddities(self, header: str, rest: str) -> None:
        for argument in split_outside_quotes(rest, ","):
            if _NOT_FINITE.fullmatch(argument.strip()):
                raise RefusedError(f"{header} {argument.strip()}: only finite numbers are sent to an instrument")
            if re.match(r"\s*#\d", argument):
                raise RefusedError(f"{header} carries a binary block: blocks are sent by the driver's methods only")


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


def _split_header(unit: str) -> tuple[str, str]:
    match = _HEADER.match(unit)
    rest = unit[match.end() :] if match else unit
    if match is None or (rest and rest[0] > " "):
        raise RefusedError(f"{_shown(unit)} is not a command: write HEADER, a space, then what it is to be set to")
    return match.group(), rest


def _nodes_given(header: str) -> list[str]:
    """Return the nodes of a header as it was written, in capitals."""
    return [node.upper() for node in header.lstrip(":").rstrip("?").split(":")]


def _nodes(header: str) -> list[tuple[str, str]]:
    """Return (short, long) of every node of a manual's spelling."""
    return [("".join(c for c in node if not c.islower()), node.upper()) for node in header.split(":")]


def _matches(nodes: list[str], pattern: list[tuple[str, str]]) -> bool:
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
