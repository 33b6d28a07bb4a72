"""Text of others: on a terminal shown and never obeyed, in a list its first sentence; and times."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable


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
    """Write a time span for people: ``0.8 s``, ``4.2 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if seconds < 3600:
        return f"{round(seconds) // 60} min {round(seconds) % 60:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
