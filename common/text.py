"""Text of others: on a terminal shown and never obeyed, in a list its first sentence; and times."""

from __future__ import annotations

import errno
import os
import re
import unicodedata
from collections.abc import Iterable

_ERRNO = re.compile(r"\berrno\s*=?\s*(\d+)", re.IGNORECASE)
_SHORT = 160


def printable(text: str) -> str:
    """Return text with what a terminal would obey (escape sequences, other control characters) written out."""
    return "".join(
        letter if letter in "\n\t" or unicodedata.category(letter) not in {"Cc", "Cf"} else f"\\x{ord(letter):02x}"
        for letter in text
    )


def first_sentence(lines: Iterable[str]) -> str:
    """Return the lines as one until a sentence ends at the end of a line, or a line is empty."""
    said: list[str] = []
    for line in lines:
        if not line.strip():
            break
        said.append(line.strip())
        if said[-1].endswith((".", "!", "?")):
            break
    return " ".join(said)


def duration(seconds: float) -> str:
    """Write a time span for people: ``0.8 s``, ``4.2 s``, ``3 min 20 s``, ``2 h 05 min``, ``12 days``, ``10 years``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if seconds < 3600:
        return f"{round(seconds) // 60} min {round(seconds) % 60:02d} s"
    days = seconds / 86400.0
    if days >= 2 * 365.25:
        return f"{days / 365.25:.3g} years"
    return f"{days:.3g} days" if days >= 4 else f"{minutes // 60} h {minutes % 60:02d} min"


def reason(error: BaseException) -> str:
    """Return in a few words why a library gave up: what the system said where it names that, else its first sentence.

    HDF5, LLVM and Arrow put addresses, times and lines of their own around what the system said.
    """
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number in errno.errorcode:
        return os.strerror(number)  # libraries put text of their own in its place
    text = " ".join(str(getattr(error, "strerror", None) or error).split())
    named = _ERRNO.search(text)
    if named is not None:
        return os.strerror(int(named[1]))
    first = re.split(r"\. | \(", text, maxsplit=1)[0].rstrip(".;:") or type(error).__name__
    return first if len(first) <= _SHORT else f"{first[: _SHORT - 3]}..."
