"""The parts that one driver has, put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .connection import Connection
from .exchange import Exchange
from .faults import Faults
from .line import Line
from .recovery import Incidents, Recovery
from .safe_exit import SafeExit

if TYPE_CHECKING:
    from .binding import Binding


class Wire:
    """What a driver of ours holds instead of being made of it.

    Parameters
    ----------
    name : str
        Of the instrument.
    binding : Binding
        How its replies are bound to their questions.
    going_idle : (word, command) of every step to the safe state, in order.
    safe_when : what is asked of an instrument that was made safe, and what it answers when it is.
    hangup_effect : str
        What the end of the connection means for what the instrument drives, for messages.
    clears : bool
        Whether a lost place in the reply stream is looked for by a device clear first.
    text_of : callable
        What is left of the text of an error entry for people.
    sent : callable
        Told of every message as it leaves.
    line : class
        Of the line: another one where the instrument does not speak SCPI.

    Attributes
    ----------
    line, connection, faults, exchange, recovery, safe_exit, incidents : the parts.
    lock : one thread at a time: held around an exchange, and by what takes several.
    """

    def __init__(
        self,
        name: str,
        *,
        binding: Binding,
        going_idle: Sequence[tuple[str, str]],
        safe_when: tuple[str, str],
        hangup_effect: str,
        clears: bool = False,
        text_of: Callable[[str], str] = lambda text: text,
        sent: Callable[[], None] | None = None,
        line: type[Line] = Line,
    ) -> None:
        self.line = line(name, binding=binding, clears=clears, hangup_effect=hangup_effect, sent=sent)
        self.lock = self.line.lock
        self.connection = Connection(self.line)
        self.faults = Faults(self.line, text_of=text_of)
        self.exchange = Exchange(self.line, self.faults)
        self.incidents = Incidents()
        self.recovery = Recovery(self.line, self.exchange, self.faults, self.connection, self.incidents)
        question, safe = safe_when
        self.safe_exit = SafeExit(
            self.line, self.exchange, self.faults, self.recovery, steps=going_idle, question=question, safe=safe
        )
