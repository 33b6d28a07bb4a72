"""The short way to a step's units of work: the same cells, measured again and again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...common.errors import RefusedError
from ...instruments.block import Block
from .array_state import Keepable
from .step_result import CellData, StepResult
from .work import Work


class CellWork:
    """Units of work that each measure the same quantities of the same cells.

    Goes over the units that are still to do; each is on disk when it is kept::

        with run.measure("read", range(10), block, conductance="S") as work:
            for read in work:
                work.keep(conductance=array.read(block).conductance)
        work["conductance"]  # [reads, rows, cols], whichever session measured them
    """

    def __init__(self, work: Work, axis: str, values: Sequence[float], block: Block, units: Mapping[str, str]) -> None:
        self._work, self._block, self._units = work, block, dict(units)
        self._axis, self._values = axis, tuple(values)
        self._open: float | None = None
        self._kept = True

    def __enter__(self) -> Self:
        self._work.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._work.__exit__(kind, error, trace)

    @property
    def interrupted(self) -> bool:
        """Whether this unit may have been begun by a session that was cut: read anew what you build upon."""
        return self._work.interrupted

    def hold(self, name: str, thing: Keepable) -> None:
        """Keep the state of ``thing`` with every unit; take up what an earlier session kept of it."""
        self._work.hold(name, thing)

    def __iter__(self) -> Iterator[float]:
        for number, value in enumerate(self._values):
            if self._work.begin(f"{self._axis} {number}"):
                self._open, self._kept = value, False
                yield value
                if not self._kept:
                    raise RefusedError(f"{self._axis} {value:g} was begun and not kept: call work.keep(…) in the loop")

    def keep(self, **quantities: ArrayLike) -> None:
        """Keep what this unit measured: every quantity, of the shape of the cells."""
        if self._open is None:
            raise RefusedError("work.keep(…) outside of a unit: call it once in every turn of `for … in work`")
        if set(quantities) != set(self._units):
            raise RefusedError(f"work.keep(…) got {_listed(quantities)}; this work measures {_listed(self._units)}")
        arrays = {name: np.asarray(value, dtype=np.float64) for name, value in quantities.items()}
        for name, array in arrays.items():
            if array.shape != self._block.shape:
                raise RefusedError(f"work.keep({name}=…) has shape {array.shape}; the cells have {self._block.shape}")
        self._work.add({self._axis: self._open}, **arrays)
        self._work.done(**arrays)
        self._open, self._kept = None, True

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return a quantity as [units, rows, cols]."""
        return self._work.stack(name)

    def result(self, **metrics: float) -> StepResult:
        """Return numbers by name, with what was measured: table, figure and section of the report come with it."""
        data = CellData(self._axis, self._values, self._block, self._units, {n: self[n] for n in self._units})
        return StepResult({name: float(value) for name, value in metrics.items()}, data)


def axis_values(axis: str, values: Sequence[float]) -> list[float]:
    """Return the values along the axis as numbers; refuse what is none, and two that are the same."""
    numbers = [float(value) for value in values]
    if not numbers or not all(map(math.isfinite, numbers)):
        raise RefusedError(f"{axis}: {numbers} must be at least one finite number: one for every unit of work")
    return numbers


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(names) or "nothing"
