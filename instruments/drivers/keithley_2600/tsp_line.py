"""The line to an instrument that speaks TSP: lines of Lua go out, and what they print comes back between two marks."""

from __future__ import annotations

import random
from typing import ClassVar

from ...wire.line import Line
from ...wire.wire_text import GarbledError, UnansweredError

_LF = b"\n"
_LINES_AT_MOST = 100_000
_FIRST, _LAST = 100_000_000, 899_999_999
# An error as SCPI has it: 0,"Queue Is Empty". Quotes of its own would end it.
_ERRORS = "local c,m=errorqueue.next() print(string.format('%d,\"%s\"',c,(string.gsub(m,'\"',\"'\"))))"


class TspBinding:
    """Numbers that nobody has printed before."""

    def __init__(self) -> None:
        self.name = "print()"
        self._number = random.randint(_FIRST, _LAST)

    def lead(self, command: bytes) -> tuple[bytes, bytes]:
        """Return ``command`` as it is: a :class:`TspLine` puts marks around it."""
        return command, b""

    def question(self) -> tuple[bytes, bytes]:
        """Return what prints a number, and the number."""
        self._number = self._number + 1 if self._number < _LAST else _FIRST
        return b'print("%d")' % self._number, b"%d" % self._number

    def earlier(self, answer: bytes) -> bool:
        """Return whether ``answer`` may be to a question asked before."""
        return answer.isdigit() and len(answer) == len(b"%d" % _FIRST)


class TspLine(Line):
    """Sends lines and reads what they print.

    A chunk that fails prints nothing and stops; the lines behind it are run all the same, and so the question for
    errors, and the mark at the end, have a line each. All leave in one write.
    """

    errors: ClassVar[str] = _ERRORS
    and_errors: ClassVar[str] = f"\n{_ERRORS}"

    def ask(self, command: bytes) -> bytes:
        """Send lines and return what they print, joined by semicolons."""
        (first, begin), (last, end) = self.binding.question(), self.binding.question()
        self.send(b"\n".join((first, command, last, b"")))
        return self._between(begin, end)

    def ask_block(self, command: bytes, size: int | None) -> memoryview:
        """Send a simulator's own question and return the block it is answered with."""
        self.send(command + _LF)
        return self.read_block(size)

    def _between(self, begin: bytes, end: bytes) -> bytes:
        lines: list[bytes] = []
        begun = surplus = False
        for _ in range(_LINES_AT_MOST):
            line = self.port.read_line().rstrip(b"\r\n")
            if line == begin:
                begun, surplus, lines = True, bool(lines), []
            elif line == end and begun:
                if surplus:
                    self._note_surplus()
                if not lines:
                    raise UnansweredError
                return b";".join(lines)
            else:
                lines.append(line)
        raise GarbledError(f"{lines[0][:60]!r} and no end")
