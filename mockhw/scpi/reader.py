"""Bytes in, compiled messages out: the input side of a SCPI session, with a memory of what it compiled before."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from .errors import ScpiError
from .framing import BLOCK_MARK, Blocks, Message, MessageFramer, only_block
from .tree import CommandTree, Program, Unit
from .wire_limits import WIRE_LIMITS, WireLimits

_CACHE_SIZE: Final = 2048
_CACHED_LENGTH: Final = 512
_CACHED_UNITS: Final = 8
# More messages than this in one portion are compiled one by one when their turn comes: a program is much
# larger than its text.
_AT_ONCE: Final = 64

# A question with another number in every message, by which a client knows the reply: what comes behind it is often the
# same.
_LEAD: Final = re.compile(rb"([A-Za-z:]{3,12}\?) ([1-9][0-9]{0,8});")
_LEAD_MOST: Final = b"999999999"

Arrival = tuple[Program | bytes, Blocks]
"""A message with its blocks; bytes where it is to be compiled later."""


class MessageReader:
    """Finds messages in what arrives and compiles them.

    Parameters
    ----------
    tree : CommandTree
    limits : WireLimits

    Attributes
    ----------
    framer : MessageFramer
        Where unfinished messages wait; a host of several clients gives each its own.
    """

    def __init__(self, tree: CommandTree, limits: WireLimits = WIRE_LIMITS) -> None:
        self.framer = MessageFramer(limits)
        self._tree = tree
        self._limits = limits
        self._by_text: dict[bytes, Program] = {}
        self._by_bytes: dict[bytes, Program] = {}
        self._before_block: dict[bytes, Program] = {}
        self._leads: dict[bytes, Unit | None] = {}

    def arrive(self, data: bytes | bytearray | memoryview, *, end: bool, later: bool = False) -> Sequence[Arrival]:
        """Return the messages that are complete with ``data``; with ``later`` only those known are compiled."""
        if type(data) is not bytes or self.framer.pending:
            return self._compiled(self.framer.feed(data, end=end), later=later)
        if (known := self._known(data)) is not None:
            return (known,)
        lead = _LEAD.match(data)
        question = None if lead is None else self._question(lead, data)
        if lead is not None and question is not None and (known := self._known(data[lead.end() :])) is not None:
            program, blocks = known
            return ((replace(program, units=(question, *program.units), is_query=True), blocks),)
        messages = self.framer.feed(data, end=end)
        arrived = self._compiled(messages, later=later)
        if len(messages) == 1 and data.endswith(b"\n") and type(program := arrived[0][0]) is Program:
            text, blocks, _ = messages[0]
            if lead is not None and question is not None and len(program.units) > 1:
                data = data[lead.end() :]
                units = program.units[1:]
                program = replace(program, units=units, is_query=any(unit.is_query for unit in units))
            mark = data.find(b"#", 0, _CACHED_LENGTH)
            if not blocks and len(data) <= _CACHED_LENGTH:
                self._remember(self._by_bytes, data, program)
            elif len(blocks) == 1 and mark >= 0 and text.find(b"#") == len(text) - len(BLOCK_MARK):
                self._remember(self._before_block, data[:mark], program)
        return arrived

    def _known(self, data: bytes) -> tuple[Program, Blocks] | None:
        """Return what was compiled before of a whole message, None where nothing was."""
        if len(data) <= _CACHED_LENGTH and (program := self._by_bytes.get(data)) is not None:
            return program, ()
        # One command with one block at its end is recognised by what stands before the block.
        mark = data.find(b"#", 0, _CACHED_LENGTH)
        if mark >= 0 and (program := self._before_block.get(data[:mark])) is not None:
            payload = only_block(data, mark)
            if payload is not None and len(payload) <= self._limits.block:
                return program, (payload,)
        return None

    def _question(self, lead: re.Match[bytes], data: bytes) -> Unit | None:
        """Return the unit of a question that takes any whole number; None where what follows depends on it."""
        header = lead[1]
        if b":" in header and data[lead.end() : lead.end() + 1] not in {b":", b"*"}:
            return None  # what follows stands below its header
        if header not in self._leads:
            if len(self._leads) >= _CACHE_SIZE:
                self._leads.clear()
            units = [self._tree.compile(header + b" " + number).units for number in (b"1", _LEAD_MOST)]
            plain = all(
                len(one) == 1 and one[0].arguments == (int(n),) for one, n in zip(units, (1, _LEAD_MOST), strict=True)
            )
            self._leads[header] = units[0][0] if plain and units[0][0].is_query else None
        unit = self._leads[header]
        return None if unit is None else replace(unit, arguments=(int(lead[2]),))

    def compile(self, text: bytes) -> Program:
        """Return the program of one message's text."""
        program = self._by_text.get(text)
        if program is None:
            units = text.count(b";") + 1
            if units > self._limits.units:
                return refusal(ScpiError(-223, f"{units} commands in one message, at most {self._limits.units}"))
            program = self._tree.compile(text)
            if len(text) <= _CACHED_LENGTH:
                self._remember(self._by_text, text, program)
        return program

    def _compiled(self, messages: Sequence[Message], *, later: bool) -> list[Arrival]:
        later = later or len(messages) > _AT_ONCE
        arrived: list[Arrival] = []
        for text, blocks, error in messages:
            if error:
                detail = f"a message of more than {self._limits.text} bytes or too many blocks"
                arrived.append((refusal(ScpiError(error, detail)), ()))
            else:
                arrived.append((self._by_text.get(text, text) if later else self.compile(text), blocks))
        return arrived

    @staticmethod
    def _remember(cache: dict[bytes, Program], key: bytes, program: Program) -> None:
        # What fails is not worth remembering, and holds its error; what is long holds much.
        if len(program.units) > _CACHED_UNITS or any(unit.error is not None for unit in program.units):
            return
        if len(cache) >= _CACHE_SIZE:
            cache.clear()
        cache[key] = program


def refusal(error: ScpiError) -> Program:
    """Return a program that does nothing but report ``error``."""
    return Program((Unit(None, _raising(error), (), error=error),), 0, False, False)


def _raising(error: ScpiError) -> Callable[[], None]:
    def fail() -> None:
        raise ScpiError(error.code, error.detail)

    return fail
