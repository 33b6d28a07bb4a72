"""How much of what clients send and leave unread a simulated instrument keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class WireLimits:
    """Bounds of one SCPI session; what goes beyond them is refused with an error, never kept.

    Attributes
    ----------
    text : int [bytes]
        Longest message without its blocks (−363).
    block : int [bytes]
        Blocks of one message together (−223). The largest a board of 512 lines needs is 64 MiB.
    units : int
        Commands in one message (−223).
    waiting : int [bytes]
        Messages behind one that is held (−363).
    unread : int [bytes]
        Replies nobody has taken, after which the parser waits for a reader.
    reply : int [bytes]
        Replies to one message (−430, as IEEE 488.2, 6.3.1.7, has it when both queues are full).
    """

    text: int = 1 << 20
    block: int = 1 << 26
    units: int = 1024
    waiting: int = 1 << 25
    unread: int = 1 << 24
    reply: int = 1 << 26


@dataclass(frozen=True, slots=True)
class HostLimits:
    """Bounds of a TCP host.

    Attributes
    ----------
    clients : int
        Connections to one instrument, where it takes more than one at all.
    clients_in_all : int
        Connections to the whole host.
    strangers : int
        Connections that have not shown their token yet; one more pushes the oldest out.
    token_seconds : float [s]
        How long a client may take to show its token.
    message_seconds : float [s]
        How long a client may take over one message, plus a second for each ``message_rate`` bytes of it.
    message_rate : float [bytes/s]
    unsent : int [bytes]
        Replies the network does not take, after which nothing more is read from the client.
    stalled_seconds : float [s]
        How long a client may read nothing of what waits for it; then it is dropped.
    """

    clients: int = 8
    clients_in_all: int = 64
    strangers: int = 16
    token_seconds: float = 10.0
    message_seconds: float = 60.0
    message_rate: float = 1e4
    unsent: int = 1 << 22
    stalled_seconds: float = 60.0


WIRE_LIMITS: Final = WireLimits()
HOST_LIMITS: Final = HostLimits()
