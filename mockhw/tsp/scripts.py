"""Scripts between ``loadscript`` and ``endscript``, and what an instrument keeps of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from .names import RUNTIME, TspError

_LOAD: Final = re.compile(r"\s*(loadscript|loadandrunscript)(?:\s+([A-Za-z_]\w*))?\s*\Z")
_LINES_MAX: Final = 50_000
_BYTES_MAX: Final = 1 << 21


@dataclass(slots=True)
class ScriptMemory:
    """What has come of a script that is being loaded, and the anonymous one that was loaded last.

    Attributes
    ----------
    anonymous, printing
    """

    anonymous: str = ""
    printing: set[str] = field(default_factory=set[str])
    """Scripts that print: who calls one may be waiting for a reply."""
    _name: str | None = None
    _runs: bool = False
    _lines: list[str] = field(default_factory=list[str])
    _bytes: int = 0
    _loading: bool = False

    @property
    def loading(self) -> bool:
        """Whether lines are kept instead of run."""
        return self._loading

    def begins(self, line: str) -> bool:
        """Return whether a line begins a script; if so, keep what follows."""
        found = _LOAD.match(line)
        if found is None:
            return False
        self._loading, self._lines, self._bytes = True, [], 0
        self._runs, self._name = found[1] == "loadandrunscript", found[2]
        return True

    def prints(self, line: str) -> bool:
        """Return whether a line may print something."""
        return "print" in line or any(name in line for name in self.printing)

    def take(self, line: str) -> tuple[str | None, str, bool] | None:
        """Keep a line; when it was the last return name, text, and whether it is to run now."""
        if line.strip() != "endscript":
            self._bytes += len(line) + 1
            if len(self._lines) >= _LINES_MAX or self._bytes > _BYTES_MAX:
                self.forget()
                raise TspError(RUNTIME, "the script is too long")
            self._lines.append(line)
            return None
        text, name, runs = "\n".join(self._lines), self._name, self._runs
        self._loading, self._lines = False, []
        if name is None:
            self.anonymous = text
        elif "print" in text:
            self.printing.add(name)
        return name, text, runs

    def forget(self) -> None:
        """Give up a script that is being loaded."""
        self._loading, self._lines = False, []
