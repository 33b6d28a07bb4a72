"""The command table of an instrument, and the compiler from the text of a message to calls of its handlers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any, Final

from .arguments import BlockRef, Number, Parameter, Quoted, Token
from .errors import ScpiError
from .framing import BLOCK_MARK

_NODE: Final = re.compile(r"(\[?):?([A-Z*]+)([a-z]*)(#|\[1\])?(\]?)")
_HEADER: Final = re.compile(r"(?::?\*[A-Za-z]+|:?[A-Za-z]\w*(?::[A-Za-z]\w*)*)\??\Z", re.ASCII)
_MARK: Final = BLOCK_MARK.decode("latin-1")
_SUFFIX: Final = re.compile(r"(\d{1,9})(?=[:?]|\Z)")
_LAST_SUFFIX: Final = re.compile(r"(\d{1,9})(?=\??\Z)")

Handler = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Command:
    """One row of a command table.

    Attributes
    ----------
    pattern : str
        Header as manuals print it: ``SYSTem:ERRor[:NEXT]?``; ``#`` marks a numeric suffix, ``[1]`` one that can
        only be 1 and is not handed on.
    handler : callable
        Called with the converted arguments (numeric suffixes first). A query returns its reply.
    parameters : tuple of Parameter
        Arguments; optional ones last.
    aborts : callable, optional
        Whether a call with these arguments must break into a parser that is held.
    repeat : int
        How many more times the last parameter may be given: lists of values.
    missing : str
        What hardware it would need: it is refused (-241) once its syntax is right, whatever its arguments are.
    """

    pattern: str
    handler: Handler
    parameters: tuple[Parameter, ...] = ()
    aborts: Callable[..., bool] | None = None
    repeat: int = 0
    missing: str = ""

    @property
    def is_query(self) -> bool:
        """Whether the header asks for a reply."""
        return self.pattern.endswith("?")


@dataclass(frozen=True, slots=True)
class Unit:
    """One call a message makes: a command with its arguments, or the error its text deserves."""

    command: Command | None
    handler: Handler
    arguments: tuple[Any, ...]
    has_block: bool = False
    is_query: bool = False
    error: ScpiError | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled message."""

    units: tuple[Unit, ...]
    blocks: int
    aborts: bool
    is_query: bool


@lru_cache(maxsize=4096)
def spellings(pattern: str) -> tuple[str, ...]:
    """Return every accepted spelling of a header pattern, in capitals; ``#`` stands for a number."""
    query = "?" if pattern.endswith("?") else ""
    nodes: list[list[str]] = []
    for opening, short, rest, numbered, _ in _NODE.findall(pattern.rstrip("?")):
        forms = dict.fromkeys([short, short + rest.upper()])
        suffixes = ("", numbered.strip("[]")) if numbered else ("",)
        spelled = [form + suffix for form in forms for suffix in suffixes]
        nodes.append([*spelled, ""] if opening else spelled)
    return tuple(":".join(part for part in chosen if part) + query for chosen in product(*nodes))


class CommandTree:
    """Every header an instrument knows, and the compiler that uses them.

    Parameters
    ----------
    commands : sequence of Command
        The table.
    reserved : dict
        Header prefixes (in capitals) below which everything unknown gets the given error.
    """

    def __init__(self, commands: Sequence[Command], reserved: dict[str, ScpiError] | None = None) -> None:
        self.commands = tuple(commands)
        self._reserved = reserved or {}
        self._by_header: dict[str, Command] = {}
        for command in commands:
            for spelling in spellings(command.pattern):
                if self._by_header.setdefault(spelling, command) is not command:
                    raise ValueError(f"two commands answer to {spelling}: {command.pattern}")

    def find(self, header: str) -> Command | None:
        """Return the command a full header (any case, any form) stands for."""
        command = self._lookup(header.lstrip(":").upper())
        return command[0] if command else None

    def compile(self, text: bytes) -> Program:
        """Turn the text of one message into calls. Faulty units become units that raise their error when run."""
        units: list[Unit] = []
        path, blocks = "", 0
        for source in _split(text.decode("latin-1"), ";"):
            piece = source.strip()
            if not piece:
                continue
            pieces = piece.split(None, 1)
            header = pieces[0]
            tokens = _tokens(pieces[1], blocks) if len(pieces) > 1 else []
            blocks += piece.count(_MARK)
            try:
                if not _HEADER.match(header):
                    raise ScpiError(-102 if header.isascii() and header.isprintable() else -101, header[:40])
                full = header.upper()
                if full.startswith((":*", "*")):  # a colon in front of a common command says nothing
                    full = full.lstrip(":")
                else:
                    full = full[1:] if full.startswith(":") else path + full
                    path = full[: full.rfind(":") + 1]
                units.append(self._unit(full, tokens))
            except ScpiError as error:
                units.append(Unit(None, _raise(error), (), error=error, is_query=False))
        aborts = any(u.command and u.command.aborts and u.command.aborts(*u.arguments) for u in units)
        return Program(tuple(units), blocks, aborts, any(unit.is_query for unit in units))

    def _lookup(self, header: str) -> tuple[Command, tuple[int, ...]] | None:
        command = self._by_header.get(header)
        if command is not None:
            return command, (1,) * command.pattern.count("#")
        if not any(c.isdigit() for c in header):
            return None
        # All suffixes may be numbers, or only the last while those before it are spelled out.
        for suffix in (_SUFFIX, _LAST_SUFFIX):
            numbers = tuple(int(n) for n in suffix.findall(header))
            command = self._by_header.get(suffix.sub("#", header))
            if command is not None and len(numbers) == command.pattern.count("#"):
                return command, numbers
        return None

    def _unit(self, header: str, tokens: list[Token]) -> Unit:
        found = self._lookup(header)
        if found is None:
            for prefix, error in self._reserved.items():
                if header == prefix or header.startswith((prefix + ":", prefix + "?")):
                    raise error
            raise ScpiError(-113, header)
        command, numbers = found
        parameters = command.parameters
        if len(tokens) > len(parameters) + command.repeat:
            raise ScpiError(-108, f"{header} takes {len(parameters) + command.repeat} at most, got {len(tokens)}")
        required = sum(not p.optional for p in parameters)
        if len(tokens) < required:
            raise ScpiError(-109, f"{header} needs {parameters[len(tokens)].name}")
        if len(tokens) > len(parameters):
            parameters += (parameters[-1],) * (len(tokens) - len(parameters))
        try:
            values = tuple([p.convert(t) for p, t in zip(parameters, tokens, strict=False)])
        except ScpiError as error:
            if not command.missing or error.code > -200:
                raise
            values = ()
        if command.missing:
            raise ScpiError(-241, command.missing)
        has_block = any(isinstance(v, BlockRef) for v in values)
        return Unit(command, command.handler, numbers + values, has_block, command.is_query)


def setting(
    pattern: str, parameter: Number, get: Callable[[], str], put: Callable[[Any], None]
) -> tuple[Command, Command]:
    """Return the command and the query of one setting; the query also answers ``MIN``, ``MAX`` and ``DEF``."""

    def query(bound: float | None = None) -> str:
        return get() if bound is None else number(bound)

    limits = Number(parameter.name, parameter.unit, parameter.low, parameter.high, parameter.default, optional=True)
    return Command(pattern, put, (parameter,)), Command(pattern + "?", query, (limits,))


def number(value: float) -> str:
    """Return a number as replies print it: nine significant digits, nothing superfluous."""
    return f"{value:.9g}"


def _raise(error: ScpiError) -> Handler:
    def fail() -> None:
        raise ScpiError(error.code, error.detail)

    return fail


def _split(text: str, separator: str) -> list[str]:
    """Split at a separator that stands outside quotes and parentheses (channel lists)."""
    if '"' not in text and "'" not in text and "(" not in text:
        return text.split(separator)
    parts: list[str] = []
    quote = ""
    depth = start = 0
    for at, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "()":
            depth = max(0, depth + (1 if char == "(" else -1))
        elif char == separator and (not depth or separator == ";"):
            parts.append(text[start:at])
            start = at + 1
    parts.append(text[start:])
    return parts


def _tokens(text: str, blocks: int) -> list[Token]:
    tokens: list[Token] = []
    for source in _split(text, ","):
        part = source.strip()
        if part == _MARK:
            tokens.append(BlockRef(blocks))
            blocks += 1
        elif part[:1] in ("'", '"') and len(part) > 1 and part[-1] == part[0]:
            tokens.append(Quoted(part[1:-1].replace(part[0] * 2, part[0])))
        else:
            blocks += part.count(_MARK)
            tokens.append(part)
    return tokens
