"""Whose reply is it: every message with a query begins with a question that only this message asks.

``docs/board-protocol.md`` §11 is the rule for boards. Bench instruments have no question of that kind; they are told a
number and asked for it again, in the same message, through the event enable register (IEEE 488.2, ``*ESE``), which
nothing else here uses.
"""

from __future__ import annotations

import random
from typing import Protocol

_PLUS = b"+"


class Binding(Protocol):
    """Makes questions that nobody has asked before."""

    name: str
    """What is asked, for people."""

    def lead(self, command: bytes) -> tuple[bytes, bytes]:
        """Return ``command`` with a question in front, and what the answer to that is."""
        ...

    def question(self) -> tuple[bytes, bytes]:
        """Return a question by itself, and how its answer ends, signs left out."""
        ...

    def earlier(self, answer: bytes) -> bool:
        """Return whether ``answer`` is to a question asked before."""
        ...


class SyncBinding:
    """Array boards: ``SYSTem:SYNC? <n>``, in revision 2 the shorter ``TAG? <n>``, each n once in a connection."""

    # Nine digits, whatever the count: the length of a reply is known beforehand.
    _FIRST, _LAST = 100_000_000, 899_999_999

    def __init__(self) -> None:
        self.name = "SYST:SYNC?"
        self._number = random.randint(self._FIRST, self._LAST)
        self._head, self._root = b"SYST:SYNC? ", b";:"

    def use_tags(self) -> None:
        """Ask as revision 2 does; ``TAG?`` is one word, so what follows begins at the root anyway."""
        self._head, self._root = b"TAG? ", b";"

    def lead(self, command: bytes) -> tuple[bytes, bytes]:
        """Return ``command`` with a question in front, and what the answer to that is."""
        token = self._next()
        root = b";" if command[:1] in {b"*", b":"} else self._root
        return b"%s%s%s%s" % (self._head, token, root, command), token

    def question(self) -> tuple[bytes, bytes]:
        """Return a question by itself, and how its answer ends."""
        token = self._next()
        return b"SYST:SYNC? " + token, token

    def earlier(self, answer: bytes) -> bool:
        """Return whether ``answer`` is to a question asked before."""
        return answer.isdigit() and len(answer) == len(b"%d" % self._FIRST) and int(answer) <= self._number

    def _next(self) -> bytes:
        self._number = self._number + 1 if self._number < self._LAST else self._FIRST
        return b"%d" % self._number


class EchoBinding:
    """Instruments with IEEE 488.2 only: a number from 1 to 255 is set and asked for, another one in each message."""

    def __init__(self) -> None:
        self.name = "*ESE?"
        self._number = random.randint(1, 255)

    def lead(self, command: bytes) -> tuple[bytes, bytes]:
        """Return ``command`` with an echo in front, and what that is."""
        number = self._next()
        return b"*ESE %d;*ESE?;%s" % (number, command), b"%d" % number

    def question(self) -> tuple[bytes, bytes]:
        """Return three echoes, which no reply is taken for by chance, and their answer."""
        numbers = [random.randint(1, 255) for _ in range(3)]
        return (
            ";".join(f"*ESE {number};*ESE?" for number in numbers).encode("ascii"),
            ";".join(map(str, numbers)).encode("ascii"),
        )

    def earlier(self, answer: bytes) -> bool:
        """Return whether ``answer`` may be to a question asked before."""
        return answer.isdigit() and 1 <= int(answer) <= 255

    def _next(self) -> int:
        self._number = self._number % 255 + 1
        return self._number


class IdentityBinding:
    """Instruments with no question that could carry a number: who it is, whose answer nobody takes for another.

    Attributes
    ----------
    identity : what it was answered with when the connection was opened.
    """

    def __init__(self) -> None:
        self.name = "*IDN?"
        self.identity = b""

    def lead(self, command: bytes) -> tuple[bytes, bytes]:
        """Return ``command`` as it is: answers are counted."""
        return command, b""

    def question(self) -> tuple[bytes, bytes]:
        """Return ``*IDN?`` and what it was answered with."""
        return b"*IDN?", self.identity

    def earlier(self, answer: bytes) -> bool:
        """Return whether ``answer`` may be to a question asked before: that cannot be told."""
        del answer
        return False


class Unbound:
    """A simulator in the same process: no line that loses, delays or doubles anything unseen.

    What it answers lies in the receive buffer before a read returns, so a look there before the next message finds a
    reply too many. Replies carry no number; only :meth:`question` asks for one.
    """

    def __init__(self, own: Binding) -> None:
        self.name = own.name
        self._own = own

    def lead(self, command: bytes) -> tuple[bytes, bytes]:
        """Return ``command`` as it is."""
        return command, b""

    def question(self) -> tuple[bytes, bytes]:
        """Return a question by itself, and how its answer ends."""
        return self._own.question()

    def earlier(self, answer: bytes) -> bool:
        """Return whether ``answer`` is to a question asked before."""
        return self._own.earlier(answer)


def without_signs(reply: bytes) -> bytes:
    """Return a reply without the signs that some instruments write before whole numbers."""
    return reply.replace(_PLUS, b"")
