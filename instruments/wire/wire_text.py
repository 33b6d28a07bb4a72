"""What messages and replies look like: block headers, joined replies, and how both are named to people."""

from __future__ import annotations

from decimal import Decimal

from pyvisa.constants import StatusCode
from pyvisa.errors import InvalidSession, VisaIOError

from .command_guard import split_outside_quotes


class GarbledError(Exception):
    """A reply that breaks the rules; it is caught where the command is known."""


class UnansweredError(Exception):
    """The instrument has read the message and answers none of its queries; it is caught where the command is known."""


def block_header(length: int) -> bytes:
    """Return the shortest IEEE 488.2 header of a definite-length block."""
    digits = b"%d" % length
    return b"#%d%s" % (len(digits), digits)


def shortened(command: str) -> str:
    """Return a command cut to what fits into a sentence; of several lines the first."""
    command, _, _ = command.partition("\n")
    return command if len(command) <= 60 else command[:57] + "..."


def brief(error: BaseException) -> str:
    """Return what a link says of itself, without codes and VISA's prose."""
    if isinstance(error, VisaIOError) and error.error_code == StatusCode.error_timeout:
        return "no reply in time"
    if isinstance(error, VisaIOError) and error.error_code == StatusCode.error_connection_lost:
        return "the connection was lost"
    if isinstance(error, InvalidSession):
        return "the connection is closed"
    return str(getattr(error, "strerror", None) or error).rstrip(".")


def split_replies(line: str) -> list[str]:
    """Split the joined replies of a compound query."""
    return [part.strip() for part in split_outside_quotes(line, ";")]


def named(message: bytes) -> str:
    """Return a message for people, its blocks cut off."""
    head, block, _ = message.partition(b"#")
    return head.decode("latin-1") + ("<block>" if block or head.endswith(b",") else "")


def parse_header(data: bytes) -> tuple[int, int]:
    """Return where the payload starts and its length; a start beyond ``data`` asks for more bytes first."""
    if data[:1] != b"#" or not data[1:2].isdigit() or data[1:2] == b"0":
        raise GarbledError(f"{bytes(data[:24])!r}, which is not a definite-length block")
    start = 2 + int(data[1:2])
    digits = data[2:start]
    if len(digits) < start - 2:
        return start, 0
    if not digits.isdigit():
        raise GarbledError(f"the block header {bytes(data[:start])!r}")
    return start, int(digits)


def sent(value: float, *, most: float = 0.0, digits: int = 9, least: float = 0.0) -> str:
    """Return a number as it is sent, of so many digits; what rounding would take beyond a limit, goes towards zero.

    So a value equal to its limit is accepted, and none is sent that is beyond it.

    Parameters
    ----------
    most : float
        Limit of the magnitude; the value itself where it is not given, so that rounding never goes up.
    least : float
        A lower limit, which rounding does not go below.
    """
    rounded = float(f"{value:.{digits}g}")
    if abs(rounded) > (max(most, abs(value)) if most else abs(value)):
        rounded = _next(rounded, digits, -1)
    if least > 0.0 and rounded < least <= value:
        rounded = _next(rounded, digits, +1)
    return f"{rounded:.{digits}g}"


def _next(value: float, digits: int, by: int) -> float:
    """Return the number of so many digits next to ``value``, away from zero where ``by`` is 1."""
    number = Decimal(f"{value:.{digits - 1}e}")
    unit = Decimal((0, (1,), int(number.as_tuple().exponent)))
    return float(number + unit.copy_sign(number) * by)
