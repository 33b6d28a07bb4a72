"""The way to the safe state: what is sent in which order, asked for afterwards, and recorded."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...common.errors import XbarlabError
from .faults import OUR_DOING
from .line import LINK_ERRORS
from .safe_state import SafeStep, steps_taken

if TYPE_CHECKING:
    from .exchange import Exchange
    from .faults import Faults
    from .line import Line
    from .recovery import Recovery

log = logging.getLogger(__name__)

# What instruments put around the same answer: signs, quotes, the brackets of a list of channels.
_DRESSING = str.maketrans("", "", "+()@\"' ")
# Another thread may be waiting for a long answer; it is not left to finish before everything is made safe.
_TURN_SECONDS = 0.5
_PATIENCE_SECONDS = 10.0


class SafeExit:
    """Takes one instrument to its safe state.

    Parameters
    ----------
    steps : (word, command), in the order they are sent.
    question, safe : what is asked afterwards, and the answer of an instrument that is safe.

    Attributes
    ----------
    ending : what the last way to the safe state came to, step by step.
    """

    def __init__(
        self,
        line: Line,
        exchange: Exchange,
        faults: Faults,
        recovery: Recovery,
        *,
        steps: Sequence[tuple[str, str]],
        question: str,
        safe: str,
    ) -> None:
        self._line = line
        self._exchange = exchange
        self._faults = faults
        self._recovery = recovery
        self.steps = tuple(steps)
        self._question, self._safe = question, safe
        self.ending: tuple[SafeStep, ...] = ()
        self._count = -1

    @property
    def is_idle(self) -> bool:
        """Whether the last way to the safe state was confirmed, step by step."""
        return bool(self.ending) and all(step.confirmed for step in self.ending)

    @property
    def is_fresh(self) -> bool:
        """Whether nothing has been sent since the last way to the safe state."""
        return self._line.count == self._count

    def go(self, *, reconnect: bool = True) -> None:
        """Send what makes the instrument safe and have it say so; once more, on a new connection, when it does not.

        Never raises: it records in ``ending`` and logs.
        """
        mine = self._take_turn()
        try:
            self._go(reconnect=reconnect)
            self._count = self._line.count
        finally:
            if mine:
                self._line.lock.release()

    def _take_turn(self) -> bool:
        """Wait for another thread's exchange, and cut short what it waits for."""
        line = self._line
        if line.lock.acquire(timeout=_TURN_SECONDS):
            return True
        try:
            if not line.port.half_sent:
                line.port.write(self.steps[0][1].encode("ascii") + line.end)
        except LINK_ERRORS as error:
            log.info("%s: %s", line.name, error)
        return line.lock.acquire(timeout=line.timeout + _PATIENCE_SECONDS)

    def _go(self, *, reconnect: bool) -> None:
        line, recovery = self._line, self._recovery
        words = [word for word, _ in self.steps]
        told_before = line.lost
        if line.out_of_step:
            line.clear()  # before the commands: it would throw them away with the rest
        sent, why_not = self._try()
        if why_not and (reconnect or not line.lost):
            try:
                if recovery.is_gone:
                    recovery.reconnect(None)
                sent, why_not = self._try()
            except XbarlabError as error:
                log.info("%s: %s", line.name, error)
        self.ending = steps_taken(line.name, words, sent, why_not)
        if why_not:
            # Who lost the link has told.
            level = logging.INFO if told_before else logging.WARNING
            log.log(level, "idle: %s; %s", why_not, line.hangup_effect)

    def _try(self) -> tuple[int, str]:
        """Return how many of ``steps`` were sent, and why they cannot be relied on; empty when they can."""
        line, sent = self._line, 0
        try:
            for _, command in self.steps:
                self._exchange.tell(command)
                sent += 1
            line.find_place(clear=False)  # nothing of what was sent is thrown away
            for number, text in dict.fromkeys(self._faults.drain()):
                level = logging.INFO if number in OUR_DOING else logging.WARNING
                log.log(level, "%s reports %d %s while going idle", line.name, number, text)
            reply = self._exchange.query(self._question)
        except XbarlabError as error:
            return sent, str(error)
        if reply.translate(_DRESSING) != self._safe:
            line.out_of_step = True
            return sent, (
                f"{line.name} at {line.place} answers {self._question} with {reply[:60]!r} where {self._safe!r} is safe"
            )
        return sent, ""
