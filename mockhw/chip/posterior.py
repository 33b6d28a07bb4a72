"""What is not known of a chip: how far its numbers may be from the profile's values, and chips drawn from that."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from ..device_models.filament.parameters import Section
from ..device_models.quantity import Quantity

Floats = NDArray[np.float64]
S = TypeVar("S", bound=Section)

_ROUNDING = 1e-6  # of numbers written with six digits
_HALVINGS = 12


class Posterior(Section):
    """The ``posterior:`` block of a profile: numbers of the model that a fit found, and how sure it is of them.

    Attributes
    ----------
    parameters : tuple of str
        Dotted names below ``parameters:`` of the profile, whose values are the mean.
    scale : tuple of str
        What is normal about each: its logarithm ("log") or itself ("linear").
    covariance : tuple of tuples
        In these coordinates.
    bounds : tuple of (low, high), optional
        Between which values, in the unit of each, the fit looked; a chip that is drawn keeps within.
    """

    parameters: tuple[str, ...] = Field(min_length=1)
    scale: tuple[Literal["log", "linear"], ...]
    covariance: tuple[tuple[float, ...], ...]
    bounds: tuple[tuple[float, float], ...] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Posterior:
        count = len(self.parameters)
        if len(set(self.parameters)) < count:
            raise ValueError("a parameter is named twice")
        for what, many in (("scale", self.scale), ("covariance", self.covariance), ("bounds", self.bounds)):
            if many is not None and len(many) != count:
                raise ValueError(f"{what} has {len(many)} entries for {count} parameters")
        if any(len(row) != count for row in self.covariance):
            raise ValueError(f"covariance must have {count} rows of {count} numbers")
        matrix = np.asarray(self.covariance)
        if not np.isfinite(matrix).all():
            raise ValueError("covariance has a number that is not finite")
        if (np.diag(matrix) < 0.0).any():
            raise ValueError("covariance has a negative variance on its diagonal")
        size = np.sqrt(np.outer(np.diag(matrix), np.diag(matrix)))
        if (np.abs(matrix - matrix.T) > _ROUNDING * size).any():
            raise ValueError("covariance is not symmetric")
        if float(np.linalg.eigvalsh(_correlation(matrix))[0]) < -count * _ROUNDING:
            raise ValueError("covariance has a negative eigenvalue: no spread has that")
        for name, (low, high) in zip(self.parameters, self.bounds or (), strict=False):
            if not low < high:
                raise ValueError(f"bounds of {name} are {low:g} … {high:g}: the lower one comes first")
        return self

    def means(self, parameters: Section) -> dict[str, float]:
        """Return the values of a profile's ``parameters`` by name.

        Raises
        ------
        ValueError
            The model has no such number, or one on a logarithmic scale is not positive.
        """
        found = {name: _number(parameters, name) for name in self.parameters}
        for (name, value), scale in zip(found.items(), self.scale, strict=True):
            if scale == "log" and not value > 0.0:
                raise ValueError(f"{name} is {value:g}: a logarithmic scale takes positive numbers")
        return found

    def draw(self, parameters: S, rng: np.random.Generator) -> S:
        """Return the parameters of another chip that may be this one.

        What the model does not admit is moved towards the profile's own values, which it does.

        Parameters
        ----------
        parameters : of the profile
        """
        mean = np.array(list(self.means(parameters).values()))
        log = np.array([scale == "log" for scale in self.scale])
        matrix = np.asarray(self.covariance)
        weights, axes = np.linalg.eigh(_correlation(matrix))
        step = np.sqrt(np.diag(matrix)) * (axes @ (np.sqrt(np.maximum(weights, 0.0)) * rng.standard_normal(mean.size)))
        for _ in range(_HALVINGS):
            with np.errstate(over="ignore"):
                x = np.where(log, mean * np.exp(np.where(log, step, 0.0)), mean + step)
            if self.bounds is not None:
                x = np.clip(x, *np.asarray(self.bounds).T)
            values = dict(zip(self.parameters, x.tolist(), strict=True))
            try:
                if np.isfinite(x).all():
                    return _with(parameters, values)
            except ValidationError:
                pass
            step = 0.5 * step
        return parameters

    def values(self, parameters: Section) -> dict[str, Quantity]:
        """Return the quantities of ``parameters`` this is about, by name."""
        return {name: _quantity(parameters, name) for name in self.parameters}


def _correlation(covariance: Floats) -> Floats:
    """Return the correlations: numbers of one size, whatever the units are."""
    sd = np.sqrt(np.diag(covariance))
    sd = np.where(sd > 0.0, sd, 1.0)
    return covariance / np.outer(sd, sd)


def _number(parameters: Section, name: str) -> float:
    return float(_quantity(parameters, name))


def _quantity(parameters: Section, name: str) -> Quantity:
    here: object = parameters
    for part in name.split("."):
        known = list(type(here).model_fields) if isinstance(here, Section) else []
        if part not in known:
            raise ValueError(f"the model has no number {name!r}; known here: {', '.join(known) or 'none'}")
        here = getattr(here, part)
    if not isinstance(here, Quantity) or not math.isfinite(here):
        raise ValueError(f"{name!r} is no single number of the model")
    return here


def _with(section: S, values: Mapping[str, float]) -> S:
    """Return a section with other values at dotted names, checked anew."""
    content = {name: getattr(section, name) for name in type(section).model_fields}
    heads = {name.partition(".")[0] for name in values}
    for head in heads:
        had = content[head]
        if isinstance(had, Quantity):
            content[head] = {"value": values[head], "unit": had.unit, "source": had.source}
        else:
            inner = {name.partition(".")[2]: value for name, value in values.items() if name.startswith(f"{head}.")}
            content[head] = _with(cast("Section", had), inner)
    return type(section).model_validate(content)
