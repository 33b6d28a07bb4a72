"""What a source may put on a terminal: limits that only narrow, halved where another source stands at the other end."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import fields

from ...common.errors import RefusedError
from ..limits import Limits, refuse_bad_number
from ..wire.command_guard import CommandGuard, Rule
from ..wire.wire_text import sent

COMPLIANCE_MIN = 1e-9
_TRAIN_MAX = 1e5  # s, ours: a day is a slip of units
_COMPLIANCE_DEFAULT = 1.05e-4
_PROTECTIONS = (2, 5, 10, 20, 40, 60, 80, 100, 120, 140, 160, 180)


class SourceLimits:
    """The limits of one instrument, and the guard that holds text to them.

    Parameters
    ----------
    name : str
        Of the instrument, for messages.
    rules : tuple of Rule
        Of its command guard.
    limits : Limits
        Narrows the widest limits there are.
    allowed : tuple of str
        What else may be sent as text.

    Attributes
    ----------
    now : what may be applied at this moment.
    as_text : what may be asked for as text, which has no way to the whole of a cell's voltage.
    """

    def __init__(
        self, name: str, rules: tuple[Rule, ...], limits: Limits | None = None, *, allowed: tuple[str, ...]
    ) -> None:
        self._name = name
        self._rules, self._allowed = rules, allowed
        self._whole: Limits | None = None
        self.now = self.as_text = Limits()
        self._guard = CommandGuard(rules, lambda: self.now, allowed)
        if limits is not None:
            self._narrow(limits)

    def check(self, message: str) -> None:
        """Refuse text that carries what is not allowed."""
        self._guard.check(message)

    def narrow(self, limits: Limits) -> None:
        """Narrow what may be applied; wider limits are refused."""
        halved = self._whole is not None
        self.now, self._whole = self._whole or self.now, None
        self._narrow(limits)
        if halved:
            self.halve()

    def halve(self) -> None:
        """Hold to half of a cell's voltage: another source may stand at the other half."""
        whole = self.now
        self._narrow(whole.halved())
        self._whole, half = whole, self.now
        self.as_text = half
        self._guard = CommandGuard(
            self._rules, lambda: half, self._allowed
        )  # what is sent as text has no way to the whole

    @contextmanager
    def whole(self) -> Generator[None]:
        """Allow all of a cell's voltage in the body: for who keeps the other end of the cell at 0 V."""
        half = self.now
        self.now = self._whole or half
        try:
            yield
        finally:
            self.now = half

    @property
    def source_volts_max(self) -> float:
        """Largest magnitude a terminal may ever be driven to [V]."""
        most = self._whole or self.now
        return max(most.set_volts_max, most.reset_volts_max)

    @property
    def held(self) -> str:
        """What a 2450 is told to hold to: the overvoltage protection that leaves the limits room and stops what is far
        above, and where its default current limit is above ours, our own: an output that is switched on by hand would
        have that one.
        """
        wanted, most = 1.2 * self.source_volts_max, max(self.now.current_max, COMPLIANCE_MIN)
        protection = next((f"PROT{volts}" for volts in _PROTECTIONS if volts >= wanted), "NONE")
        return f"{protection};:SOUR:VOLT:ILIM {sent(most)}" if most < _COMPLIANCE_DEFAULT else protection

    @property
    def largest(self) -> float:
        """Largest magnitude a terminal may be driven to at this moment [V]."""
        return max(self.now.set_volts_max, self.now.reset_volts_max)

    def _narrow(self, limits: Limits) -> None:
        narrowed = self.now
        for field in fields(limits):
            source = limits.origins.get(field.name, f"the limits given to {self._name}")
            narrowed = narrowed.narrowed({field.name: getattr(limits, field.name)}, source=source)
        self.now = self.as_text = narrowed
        self._guard = CommandGuard(self._rules, lambda: self.now, self._allowed)


def check_train(
    now: Limits,
    amplitudes: Sequence[float],
    *,
    width: float,
    edge: float,
    period: float,
    count: float,
    count_max: int,
    channel: str,
) -> int:
    """Refuse a train of pulses on two channels in step beyond the limits, or beyond its instrument; return the count.

    Parameters
    ----------
    now : Limits
    amplitudes : (first, second) [V], as they will be given
    width, edge, period : float [s], as they will be given
    count_max : most pulses the instrument gives
    channel : who gives them
    """
    if not any(amplitudes):
        raise RefusedError(f"{channel}: both channels at 0 V: there is nothing to pulse")
    now.check_pulses(abs(amplitudes[0] - amplitudes[1]), width, channel=channel, edge=edge)
    pulses = now.one("count", count, channel=channel, unit="pulses")
    if pulses != int(pulses):
        raise RefusedError(f"count {count!r} at {channel} is not a whole number of pulses")
    refuse_bad_number("count", count, 1, count_max, "pulses", channel=channel)
    refuse_bad_number("length of the train", pulses * period, 0.0, _TRAIN_MAX, "s", channel=channel)
    return int(pulses)
