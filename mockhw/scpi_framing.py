"""From a stream of bytes to program messages: finds terminators, keeps binary blocks out of the text."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

BLOCK_MARK: Final = b"#\x00"
"""What stands in the text of a message where a block was."""

_BLOCK_LIMIT: Final = 1 << 26
_STOPS: Final = re.compile(rb"[\n#\"']")


class Message(NamedTuple):
    """One program message: its text without terminator, and the payloads of its blocks in order."""

    text: bytes
    blocks: tuple[memoryview, ...]


class MessageFramer:
    """Incremental IEEE 488.2 message finder.

    Bytes arrive in any portions; a definite-length block may hold LF and ``;`` and may be spread over
    many portions. A message that arrives whole is not copied: its blocks are views into what was fed.
    """

    def __init__(self) -> None:
        self._held = bytearray()
        self._enough = 0  # scanning again is useless before this many bytes are there

    @property
    def pending(self) -> bool:
        """Whether an unfinished message is held."""
        return bool(self._held)

    @property
    def in_block(self) -> bool:
        """Whether what is held ends inside a block."""
        return self._enough > 0

    def clear(self) -> None:
        """Forget an unfinished message."""
        self._held = bytearray()
        self._enough = 0

    def feed(self, data: bytes | bytearray | memoryview, *, end: bool = False) -> list[Message]:
        """Return the messages that are complete with ``data``.

        Parameters
        ----------
        data : bytes-like
            What arrived. It must not change afterwards, since blocks are views into it.
        end : bool
            Whether the transport marked the last byte as the end of a message (GPIB, USBTMC).
        """
        source: bytes | bytearray
        if self._held:
            self._held += data
            if len(self._held) < self._enough and not end:
                return []
            source = self._held
            self._held = bytearray()
        else:
            source = data if isinstance(data, bytes) else bytes(data)
        messages: list[Message] = []
        at = 0
        while at < len(source):
            at, message = self._scan(source, at, end=end)
            if message is None:
                self._held = bytearray(memoryview(source)[at:]) if at or isinstance(source, bytes) else source
                return messages
            if message.text:
                messages.append(message)
        self._enough = 0
        return messages

    def _scan(self, source: bytes | bytearray, start: int, *, end: bool) -> tuple[int, Message | None]:
        """Return where the message that begins at ``start`` stops and the message, or ``start`` and None."""
        pieces: list[bytes] = []
        blocks: list[memoryview] = []
        text_from = at = start
        while True:
            found = _STOPS.search(source, at)
            if found is None:
                if not end:
                    self._enough = 0
                    return start, None
                stop = after = len(source)
                break
            stop = found.start()
            mark = source[stop]
            if mark == 0x0A:
                after = stop + 1
                break
            if mark != 0x23:  # a quote: a string ends at its twin, or, never closed, with the message
                closing = source.find(mark, stop + 1)
                line_end = source.find(0x0A, stop + 1)
                at = closing + 1 if closing >= 0 and (line_end < 0 or closing < line_end) else stop + 1
                continue
            span = self._block_span(source, stop)
            if span is None:
                self._enough = 0
                if not end:
                    return start, None
                at = stop + 1
                continue
            payload_from, payload_to = span
            if payload_to < 0:  # not a block we take: leave it in the text, the parser names the error
                at = stop + 1
                continue
            if payload_to > len(source):
                if not end:
                    self._enough = payload_to - start + 1
                    return start, None
                at = stop + 1
                continue
            pieces += [bytes(source[text_from:stop]), BLOCK_MARK]
            blocks.append(memoryview(source)[payload_from:payload_to])
            text_from = at = payload_to
        pieces.append(bytes(source[text_from:stop]))
        return after, Message(b"".join(pieces).strip(), tuple(blocks))

    @staticmethod
    def _block_span(source: bytes | bytearray, at: int) -> tuple[int, int] | None:
        """Return payload start and stop of the block at ``at``; stop −1 if it is none; None if unknown yet."""
        if at + 1 >= len(source):
            return None
        digits = source[at + 1] - 0x30
        if not 1 <= digits <= 9:
            return at, -1
        payload_from = at + 2 + digits
        text = source[at + 2 : payload_from]
        if text and not text.isdigit():
            return at, -1
        if len(text) < digits:
            return None
        length = int(text)
        return (payload_from, payload_from + length) if length <= _BLOCK_LIMIT else (at, -1)


def only_block(data: bytes, at: int) -> memoryview | None:
    """Return the payload of the block at ``at`` if nothing but LF follows it, else None."""
    try:
        payload_from = at + data[at + 1] - 0x2E  # "#", the digit, and as many digits as it says
        length = int(data[at + 2 : payload_from])
    except (IndexError, ValueError):
        return None
    stop = payload_from + length
    return memoryview(data)[payload_from:stop] if stop + 1 == len(data) and data[stop] == 0x0A else None
