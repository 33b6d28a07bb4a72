"""Arrays a step needs to go on from where it was cut: what an object must offer to be kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]


class Keepable(Protocol):
    """Whatever a step needs to go on: it gives its arrays, and takes them back."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything that changes, by name."""
        ...

    def restore(self, arrays: Arrays) -> None:
        """Take up what ``arrays`` returned earlier."""
        ...


class ArrayState:
    """Keeps all its attributes that are arrays or plain numbers; ``constant`` names those that never change."""

    constant: tuple[str, ...] = ()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the attributes that are arrays or numbers, by name."""
        return {
            name: np.asarray(value)
            for name, value in vars(self).items()
            if isinstance(value, np.ndarray | bool | int | float) and name not in self.constant
        }

    def restore(self, arrays: Arrays) -> None:
        """Set the attributes of the same names, numbers as numbers."""
        for name, value in arrays.items():
            if name in vars(self):
                setattr(self, name, value if isinstance(vars(self)[name], np.ndarray) else value.item())


class Fields(ArrayState):
    """Arrays and numbers by name, for a step that needs no class of its own: ``at = Fields(todo=mask, tries=0)``."""

    def __init__(self, **values: Any) -> None:
        vars(self).update(values)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"no field {name!r}; there are {', '.join(vars(self))}")

    def __setattr__(self, name: str, value: Any) -> None:
        vars(self)[name] = value
