"""What every refusal of ours has in common: a sentence for people and an exit code."""

from __future__ import annotations

import os
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class XbarlabError(Exception):
    """Base of every error this package raises on purpose; ``exit_code`` is what the CLI ends with.

    What the sentence says is also there for programs, as far as the error has it.

    Attributes
    ----------
    where : str
        Channel, file or key it is about.
    value : object
        What was given.
    limit : object
        What it should have kept.
    set_by : str
        Who set that limit.
    remedy : str
        What to do.
    """

    exit_code = 3
    where: str = ""
    value: object = None
    limit: object = None
    set_by: str = ""
    remedy: str = ""

    def __init__(
        self,
        *args: object,
        where: str = "",
        value: object = None,
        limit: object = None,
        set_by: str = "",
        remedy: str = "",
    ) -> None:
        super().__init__(*args)
        self.where, self.value, self.limit, self.set_by, self.remedy = where, value, limit, set_by, remedy

    def __str__(self) -> str:
        # QCoDeS appends "setting x to y" to ``args`` on the way up; people are shown the sentence, not a tuple.
        return str(self.args[0]) if self.args else ""


class RefusedError(XbarlabError, ValueError):
    """Bad input: nothing was sent to any instrument."""

    exit_code = 2


def require_home() -> None:
    """Refuse a home that is no folder before QCoDeS is imported, which keeps its settings there."""
    home = Path(os.environ.get("HOME") or ".")
    if home.exists() and not home.is_dir():
        raise RefusedError(f"HOME is {home}, which is no folder: QCoDeS keeps its settings there; set HOME")


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Return the sentence for an unknown ``name``, listing the alternatives and the nearest one."""
    return f"unknown {kind} {str(name)!r}{alternatives(name, known)}"


def alternatives(name: object, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown ``name``: what there is, and the nearest one."""
    names = sorted(known)
    if not names:
        return ": there is none"
    near = get_close_matches(str(name), names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f": choose from {', '.join(names)}{hint}"
