"""Where the TCP host may listen, and what it asks of those who come."""

from __future__ import annotations

import ipaddress
from typing import Final

LOOPBACK: Final = "127.0.0.1"
_TOKEN_MAX: Final = 128


class HostError(OSError):
    """A socket that cannot be opened; the message says which and why."""


def is_loopback(host: str) -> bool:
    """Return whether only this computer reaches ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def port_of(address: str) -> int:
    """Return the port in a socket resource name.

    Raises
    ------
    HostError
        When the name has none.
    """
    parts = address.split("::")
    if len(parts) == 4 and parts[3].upper() == "SOCKET":
        return int(parts[2])
    raise HostError(f"{address} names no port; give --port (0 for any free one)")


def check_token(token: str | None, host: str) -> None:
    """Refuse to listen at ``host`` with this token.

    Raises
    ------
    HostError
        When others can reach ``host`` and there is no token, or the token cannot be sent in a line.
    """
    if token is None and not is_loopback(host):
        raise HostError(f"{host} is reached from other computers: give a token that clients have to show")
    if token is not None and not (token.isascii() and token.isprintable() and 0 < len(token.strip()) <= _TOKEN_MAX):
        raise HostError(f"a token has 1 to {_TOKEN_MAX} printable ASCII characters")
