"""Text of others on a terminal: shown, never obeyed."""

from __future__ import annotations

import unicodedata


def printable(text: str) -> str:
    """Return text with what a terminal would obey (escape sequences, other control characters) written out."""
    return "".join(
        letter if letter in "\n\t" or unicodedata.category(letter) not in {"Cc", "Cf"} else f"\\x{ord(letter):02x}"
        for letter in text
    )
