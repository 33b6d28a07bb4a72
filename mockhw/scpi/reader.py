"""Bytes in, compiled messages out: the input side of a SCPI session, with a memory of what it compiled before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

    def arrive(self, data: bytes | bytearray | memoryview, *, end: bool, later: bool = False) -> Sequence[Arrival]:
        """Return the messages that are complete with ``data``; with ``later`` only those known are compiled."""
        if type(data) is not bytes or self.framer.pending:
            return self._compiled(self.framer.feed(data, end=end), later=later)
        short = len(data) <= _CACHED_LENGTH
        if short and (program := self._by_bytes.get(data)) is not None:
            return ((program, ()),)
        # One command with one block at its end is recognised by what stands before the block.
        mark = data.find(b"#", 0, _CACHED_LENGTH)
        if mark >= 0 and (program := self._before_block.get(data[:mark])) is not None:
            payload = only_block(data, mark)
            if payload is not None and len(payload) <= self._limits.block:
                return ((program, (payload,)),)
        messages = self.framer.feed(data, end=end)
        arrived = self._compiled(messages, later=later)
        if len(messages) == 1 and data.endswith(b"\n") and type(program := arrived[0][0]) is Program:
            text, blocks, _ = messages[0]
            if not blocks and short:
                self._remember(self._by_bytes, data, program)
            elif len(blocks) == 1 and mark >= 0 and text.find(b"#") == len(text) - len(BLOCK_MARK):
                self._remember(self._before_block, data[:mark], program)
        return arrived

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
