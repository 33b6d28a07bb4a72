"""What every refusal of ours has in common: a sentence for people and an exit code."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class XbarlabError(Exception):
    """Base of every error this package raises on purpose; ``exit_code`` is what the CLI ends with."""

    exit_code = 3

    def __str__(self) -> str:
        # QCoDeS appends "setting x to y" to ``args`` on the way up; people are shown the sentence, not a tuple.
        return str(self.args[0]) if self.args else ""


class RefusedError(XbarlabError, ValueError):
    """Bad input: nothing was sent to any instrument."""

    exit_code = 2


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Return the sentence for an unknown ``name``, listing the alternatives and the nearest one."""
    return f"unknown {kind} {str(name)!r}{alternatives(name, known)}"


def alternatives(name: object, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown ``name``: what there is, and the nearest one."""
    names = sorted(known)
    near = get_close_matches(str(name), names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f": choose from {', '.join(names) or 'nothing'}{hint}"
