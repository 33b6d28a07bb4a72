"""Arguments of the simulated B2201A: channel lists, card numbers and lists of ports in quotes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from ...scpi.arguments import Quoted, Token, based
from ...scpi.errors import ScpiError

INPUTS: Final = 14
OUTPUTS_PER_CARD: Final = 12
_LIST: Final = re.compile(r"\(\s*@\s*(.*?)\s*\)\Z", re.DOTALL)
_CHANNEL: Final = re.compile(r"\d{5}\Z")

Channel = tuple[int, int, int]
"""Card, input and output port as in the five digits."""
CardNumber = int | Literal["ALL"]


@dataclass(frozen=True)
class ChannelList:
    """``(@00109,00210:00212)``: card (one digit), input port (two), output port (two); a range goes from low to high.

    Whether the ports exist depends on the configuration and is checked when the command runs.
    """

    name: str = "channel list"
    optional: bool = False

    def convert(self, token: Token) -> tuple[tuple[Channel, Channel], ...]:
        """Return first and last channel of every entry."""
        match = _LIST.match(token) if isinstance(token, str) else None
        if match is None:
            raise ScpiError(-104, f"{self.name} is like (@00101,00203)")
        return tuple(self._entry(entry) for entry in match.group(1).split(","))

    def _entry(self, entry: str) -> tuple[Channel, Channel]:
        ends = [self._channel(text.strip()) for text in entry.split(":")]
        if len(ends) > 2:
            raise ScpiError(-171, f"{entry.strip()} is no range")
        return ends[0], ends[-1]

    def _channel(self, text: str) -> Channel:
        if not _CHANNEL.match(text):
            raise ScpiError(-171, f"{text or 'nothing'} is no channel: card (1 digit), input (2), output (2)")
        return int(text[0]), int(text[1:3]), int(text[3:])


@dataclass(frozen=True)
class Card:
    """A card number, or ``ALL`` where ``everything`` is allowed."""

    name: str = "card"
    everything: bool = True
    optional: bool = False

    def convert(self, token: Token) -> CardNumber:
        """Return the number or ``ALL``."""
        if isinstance(token, str):
            if token.upper() == "ALL" and self.everything:
                return "ALL"
            if re.fullmatch(r"[+-]?\d{1,9}", token):
                return int(token)
            whole = based(token)
            if whole is not None:
                return round(whole)
        raise ScpiError(
            -224 if isinstance(token, str) else -104, f"{self.name} is a number" + " or ALL" * self.everything
        )


@dataclass(frozen=True)
class Ports:
    """Input ports in quotes: ``'1,3'``; an empty string is none of them."""

    name: str = "ports"
    optional: bool = False

    def convert(self, token: Token) -> frozenset[int]:
        """Return the ports."""
        if not isinstance(token, Quoted):
            raise ScpiError(-104, f"{self.name} stand in quotes, such as '1,3'")
        texts = [text.strip() for text in token.text.split(",") if text.strip()]
        if not all(text.isdigit() for text in texts):
            raise ScpiError(-151, f"{self.name} {token.text}")
        return frozenset(int(text) for text in texts)


def expand(entries: tuple[tuple[Channel, Channel], ...], outputs: int) -> list[Channel]:
    """Return every channel of a list; a range runs through the outputs 1…``outputs`` of one input after the other."""
    channels: list[Channel] = []
    for first, last in entries:
        if first == last:
            channels.append(first)
            continue
        if first[0] != last[0] or last < first:
            raise ScpiError(-222, f"range {digits(first)}:{digits(last)} runs backwards or across cards")
        card, port, output = first
        while (port, output) <= last[1:]:
            channels.append((card, port, output))
            port, output = (port, output + 1) if output < outputs else (port + 1, 1)
    return channels


def digits(channel: Channel) -> str:
    """Return the five digits of a channel."""
    return f"{channel[0]:01d}{channel[1]:02d}{channel[2]:02d}"
