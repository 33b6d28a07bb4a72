"""An array that may be looked at and not touched: for building the result of a step that is done."""

from __future__ import annotations

from typing import Any

from ...common.errors import XbarlabError
from ...instruments.capabilities import CrossbarArray

_LOOKED_AT = frozenset({"spec", "clock", "cost"})


class TouchedError(XbarlabError):
    """A step that is done asked the array for something."""


class _Refused:
    """Whatever could be called; calling it is refused."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> _Refused:
        return _Refused(f"{self._name}.{name}")

    def __call__(self, *_: object, **__: object) -> Any:
        raise TouchedError(f"a step that is done asked the array for {self._name}(); nothing was sent")


class UntouchedArray:
    """Shows what an array is and what it has cost; whatever else is asked of it is refused, and nothing is sent."""

    def __init__(self, array: CrossbarArray) -> None:
        self._array = array

    def __getattr__(self, name: str) -> Any:
        return getattr(self._array, name) if name in _LOOKED_AT else _Refused(name)

    def ability(self, kind: type) -> Any:
        """Return a part that may be held and not used."""
        return _Refused(kind.__name__)

    def idle(self) -> None:
        """Leave the array as it is."""
