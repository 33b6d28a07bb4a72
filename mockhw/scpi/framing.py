"""From a stream of bytes to program messages: finds terminators, keeps binary blocks out of the text."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from .wire_limits import WIRE_LIMITS, WireLimits

BLOCK_MARK: Final = b"#\x00"
"""What stands in the text of a message where a block was."""

TOO_LONG: Final = -363
"""Input buffer overrun: what becomes of a message whose text is too long."""

Blocks = tuple[memoryview | None, ...]
"""Payloads of a message in order; None where one was too long and thrown away."""

_BLOCKS_MAX: Final = 64
_STOPS: Final = re.compile(rb"[\n#\"']")


class Message(NamedTuple):
    """One program message: its text without terminator, and the payloads of its blocks in order.

    ``error`` is the SCPI error of a message that was thrown away, else 0.
    """

    text: bytes
    blocks: Blocks
    error: int = 0


class MessageFramer:
    """Incremental IEEE 488.2 message finder.

    Bytes arrive in any portions; a definite-length block may hold LF and ``;`` and may be spread over
    many portions. A message that arrives whole is not copied: its blocks are views into what was fed.
    No byte is looked at twice however small the portions are, and no more is kept than ``limits`` allow: of a block
    that is too long only the length is counted, of a text that is too long only its end is waited for.

    Parameters
    ----------
    limits : WireLimits
    """

    def __init__(self, limits: WireLimits = WIRE_LIMITS) -> None:
        self.limits = limits
        self._held = bytearray()
        self._skip = 0  # bytes of a block that is thrown away, still to come
        self._overlong = False
        self._start_message()

    def _start_message(self) -> None:
        self._at = 0  # where in what is held the search goes on
        self._looked = 0  # up to where a quote that stands there has found no twin
        self._enough = 0  # searching again is useless before this many bytes are there
        # Text up to each block that is finished, and those blocks.
        self._pieces: list[bytes] = []
        self._blocks: list[memoryview | None] = []

    @property
    def pending(self) -> bool:
        """Whether an unfinished message is held."""
        return bool(self._held or self._skip or self._pieces or self._overlong)

    @property
    def in_block(self) -> bool:
        """Whether what is held ends inside a block."""
        return self._enough > 0 or self._skip > 0

    def clear(self) -> None:
        """Forget an unfinished message."""
        self._held = bytearray()
        self._skip = 0
        self._overlong = False
        self._start_message()

    def feed(self, data: bytes | bytearray | memoryview, *, end: bool = False) -> list[Message]:
        """Return the messages that are complete with ``data``.

        Parameters
        ----------
        data : bytes-like
            What arrived. It must not change afterwards, since blocks are views into it.
        end : bool
            Whether the transport marked the last byte as the end of a message (GPIB, USBTMC).
        """
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = memoryview(data)[skipped:]
            if self._skip and not end:
                return []
            self._skip = 0
        source: bytes | bytearray
        if self._held:
            self._held += data
            if len(self._held) < self._enough and not end:
                return []
            source, self._held = self._held, bytearray()
        else:
            source = data if isinstance(data, bytes) else bytes(data)
        messages: list[Message] = []
        start = 0
        while start < len(source) or (end and self._pieces):
            start, message = self._scan(source, start, end=end)
            if message is None:
                break
            if message.text or message.error:
                messages.append(message)
        return messages

    def _scan(self, source: bytes | bytearray, start: int, *, end: bool) -> tuple[int, Message | None]:
        """Return where the message that goes on at ``start`` stops and the message; None when it has no end yet."""
        text_from, at, looked = start, start + self._at, start + self._looked
        first = len(self._blocks)
        self._enough = 0
        while not self._overlong:
            found = _STOPS.search(source, at)
            if found is None:
                if not end:
                    return self._keep(source, text_from, len(source), first)
                return self._finish(source, text_from, len(source))
            stop = found.start()
            mark = source[stop]
            if mark == 0x0A:
                return self._finish(source, text_from, stop)
            if mark != 0x23:  # a quote: a string ends at its twin, or, never closed, with the message
                since, looked = max(stop + 1, looked), 0
                closing = source.find(mark, since)
                line_end = source.find(0x0A, since, closing if closing >= 0 else len(source))
                if closing < 0 and line_end < 0 and not end:
                    self._looked = len(source) - text_from
                    return self._keep(source, text_from, stop, first)
                at = closing + 1 if closing >= 0 and line_end < 0 else stop + 1
                continue
            span = _block_span(source, stop)
            if span is None and not end:
                return self._keep(source, text_from, stop, first)
            payload_from, length = span or (stop, -1)
            payload_to = payload_from + length
            missing = payload_to - len(source)
            if length < 0 or (missing > 0 and end):  # not a block: leave it in the text, the parser names the error
                at = stop + 1
                continue
            refused = length > self.limits.block - sum(len(block) for block in self._blocks if block is not None)
            if missing > 0 and not refused:
                self._enough = payload_to - text_from + 1
                return self._keep(source, text_from, stop, first)
            self._pieces += [bytes(source[text_from:stop]), BLOCK_MARK]
            self._blocks.append(None if refused else memoryview(source)[payload_from:payload_to])
            self._overlong = len(self._blocks) > _BLOCKS_MAX
            if missing > 0:
                self._skip = missing
                return self._keep(source, len(source), len(source), first)
            text_from = at = payload_to
        return self._pass_over(source, at, end=end)

    def _finish(self, source: bytes | bytearray, text_from: int, stop: int) -> tuple[int, Message]:
        """Return the message whose text stops at ``stop``."""
        text = b"".join([*self._pieces, source[text_from:stop]])
        blocks = tuple(self._blocks)
        self._start_message()
        return stop + 1, Message(b"", (), TOO_LONG) if len(text) > self.limits.text else Message(text.strip(), blocks)

    def _keep(self, source: bytes | bytearray, text_from: int, at: int, first: int) -> tuple[int, None]:
        """Hold what follows ``text_from`` until more arrives; the search then goes on at ``at``."""
        text = sum(map(len, self._pieces)) + (at if self._enough else len(source)) - text_from
        if text > self.limits.text:
            self._start_message()
            self._overlong = True
            return len(source), None
        for index in range(first, len(self._blocks)):  # what is held must be free to grow: no views into it
            block = self._blocks[index]
            self._blocks[index] = None if block is None else memoryview(bytes(block))
        if isinstance(source, bytearray) and not text_from:
            self._held = source
        else:
            self._held = bytearray(memoryview(source)[text_from:])
        self._at = at - text_from
        return len(source), None

    def _pass_over(self, source: bytes | bytearray, at: int, *, end: bool) -> tuple[int, Message | None]:
        """Throw away the rest of a message that is too long."""
        stop = source.find(0x0A, at)
        if stop < 0 and not end:
            self._start_message()
            return len(source), None
        self.clear()
        return (stop + 1 if stop >= 0 else len(source)), Message(b"", (), TOO_LONG)


def _block_span(source: bytes | bytearray, at: int) -> tuple[int, int] | None:
    """Return where the payload of the block at ``at`` starts and its length; −1 if it is none; None if unknown yet."""
    if at + 1 >= len(source):
        return None
    digits = source[at + 1] - 0x30
    if not 1 <= digits <= 9:
        return at, -1
    payload_from = at + 2 + digits
    text = source[at + 2 : payload_from]
    if text and not text.isdigit():
        return at, -1
    return (payload_from, int(text)) if len(text) == digits else None


def only_block(data: bytes, at: int) -> memoryview | None:
    """Return the payload of the block at ``at`` if nothing but LF follows it, else None."""
    try:
        payload_from = at + data[at + 1] - 0x2E  # "#", the digit, and as many digits as it says
        length = int(data[at + 2 : payload_from])
    except (IndexError, ValueError):
        return None
    stop = payload_from + length
    return memoryview(data)[payload_from:stop] if stop + 1 == len(data) and data[stop] == 0x0A else None
