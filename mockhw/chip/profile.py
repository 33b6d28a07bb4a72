"""Profiles: what one kind of chip is made of, every number with its source."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, get_args

from pydantic import BaseModel, Field, InstanceOf, SerializeAsAny, ValidationError, model_validator

from ...common import plugins
from ...common.errors import RefusedError
from ...common.records import read_format
from ...common.yaml_files import load_yaml
from .. import profiles
from ..device_models.filament.parameters import Section
from ..device_models.kinds import ModelKind, kind_of
from ..device_models.quantity import Farad, Ohm, Plain, Quantity, Volt
from .posterior import Posterior

if TYPE_CHECKING:
    import numpy as np

    from ..device_models.base import DeviceModel

FORMAT = 1

S = TypeVar("S", bound=Section)


class ProfileError(ValueError):
    """A profile that is unknown or cannot be understood; the message says what would be accepted."""


class Geometry(Section):
    """Size of the array."""

    rows: Plain
    cols: Plain


class Wiring(Section):
    """What lies outside the cells: one segment between neighbouring crosspoints, a line driver, a sense input.

    Capacitances, where given, say how much charge a line and the cable to it push into a cell that snaps.
    """

    row_segment: Ohm
    col_segment: Ohm
    driver: Ohm
    sense: Ohm
    line_capacitance: Farad | None = None
    cable_capacitance: Farad | None = None


class SafeLimits(Section):
    """Largest magnitudes a bench should ever apply to this chip."""

    max_set_volts: Volt
    max_reset_volts: Volt
    max_forming_volts: Volt
    max_gate_volts: Volt


class ReadPoint(Section):
    """Where conductance is read."""

    volts: Volt
    gate: Volt


class Profile(Section):
    """One chip profile, loaded and checked.

    Attributes
    ----------
    name : str
        Name under which it is shipped.
    cell, gate_axis : str
        "1T1R" or "passive"; which lines carry the gates ("col": every column its own gate voltage; None for
        passive cells).
    geometry, wiring, limits, read : sections
        Quantities; they compute as floats in SI units and carry ``unit`` and ``source``.
    model : str
        Device model behind :func:`make_model`.
    parameters : section
        The model's own numbers.
    posterior : Posterior, optional
        How far the chip may be from them, where the profile was fitted.
    protocol : dict
        What a fit found of protocols that nobody wrote down whole, ``<measurement>.<dotted name>``: where the next fit
        or check of the same measurements begins. The chip itself does not depend on them.
    """

    name: str
    title: str
    description: str
    model: str
    cell: Literal["1T1R", "passive"]
    gate_axis: Literal["row", "col"] | None = None
    gate_axis_source: str | None = None
    geometry: Geometry
    wiring: Wiring
    limits: SafeLimits
    read: ReadPoint
    parameters: SerializeAsAny[InstanceOf[Section]]
    posterior: Posterior | None = None
    protocol: dict[str, Quantity] = Field(default_factory=dict[str, Quantity])
    format: int = Field(default=FORMAT, ge=1, le=FORMAT)

    @model_validator(mode="after")
    def _gates_fit_the_cell(self) -> Profile:
        if (self.gate_axis is None) != (self.cell == "passive"):
            raise ValueError(
                f"gate_axis {self.gate_axis!r} with {self.cell} cells: 1T1R cells have gates, passive none"
            )
        if self.gate_axis is not None and not (self.gate_axis_source or "").strip():
            raise ValueError("gate_axis_source is missing: name where the axis comes from, or write 'assumed' and why")
        return self

    @model_validator(mode="after")
    def _posterior_is_of_this_model(self) -> Profile:
        if self.posterior is not None:
            try:
                self.posterior.means(self.parameters)
            except ValueError as error:
                raise ValueError(f"posterior.parameters: {error}") from error
        return self

    def drawn(self, rng: np.random.Generator) -> Profile:
        """Return the profile of a chip that may be this one; itself where no posterior says how it may differ."""
        if self.posterior is None:
            return self
        return self.model_copy(update={"parameters": self.posterior.draw(self.parameters, rng)})

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.geometry.rows)

    @property
    def cols(self) -> int:
        """Number of columns."""
        return int(self.geometry.cols)


def _shipped() -> dict[str, Path]:
    folder = Path(str(resources.files(profiles)))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def list_profiles() -> list[str]:
    """Return the names of the shipped profiles."""
    return list(_shipped())


def profile_file(name_or_path: str | Path) -> Path:
    """Return the file of a shipped profile given by name, or of any by path; refuse what is neither."""
    shipped = _shipped()
    text = str(name_or_path)
    path = shipped.get(text, Path(text))
    if not path.is_file():
        raise ProfileError(
            f"profile {text!r} is neither a file nor shipped; shipped profiles are {', '.join(shipped) or 'none'}"
        )
    return path


def load_profile(name_or_path: str | Path, changes: Mapping[str, Mapping[str, Any]] | None = None) -> Profile:
    """Load a shipped profile by name, or any profile by path.

    Parameters
    ----------
    changes : dotted key -> ``{value, source}``
        What one chip has otherwise; the profile's name then says so.

    Raises
    ------
    ProfileError
        If there is no such profile (the message lists the shipped ones), or its content is refused.
    """
    path = profile_file(name_or_path)
    try:
        raw: object = load_yaml(path, "profile", is_not="not valid YAML")
    except RefusedError as error:
        raise ProfileError(str(error)) from error
    if changes and isinstance(raw, dict):
        raw = _changed(cast("dict[str, Any]", raw), changes, path.name)
    return parse_profile(raw, path.name)


def _changed(raw: dict[str, Any], changes: Mapping[str, Mapping[str, Any]], where: str) -> dict[str, Any]:
    """Return the content with other values at dotted keys; the unit stays the profile's."""
    for key, wanted in changes.items():
        if set(wanted) != {"value", "source"}:
            raise ProfileError(
                f"{where}: change of {key!r} needs value and source, not {', '.join(wanted) or 'nothing'}"
            )
        if f"{key}_source" in raw:  # a word with a source of its own, as the gate axis
            raw |= {key: wanted["value"], f"{key}_source": wanted["source"]}
            continue
        here: Any = raw
        for part in key.split("."):
            if not isinstance(here, dict) or part not in here:
                known = ", ".join(map(str, cast("dict[str, Any]", here))) if isinstance(here, dict) else "none"
                raise ProfileError(f"{where}: there is no {part!r} in {key!r} to change; known here: {known}")
            here = cast("dict[str, Any]", here)[part]
        if not isinstance(here, dict) or "value" not in here:
            raise ProfileError(f"{where}: {key!r} is a section, not a number: name one of {', '.join(map(str, here))}")
        here.update(wanted)
    said = ", ".join(f"{key} {wanted['value']}" for key, wanted in changes.items())
    return {**raw, "name": f"{raw.get('name')} ({said})"}


def parse_profile(raw: object, where: str = "profile") -> Profile:
    """Check a profile given as nested mappings.

    Raises
    ------
    ProfileError
        On unknown or missing keys (the alternatives are named), wrong units, numbers without a source.
    """
    if not isinstance(raw, Mapping):
        raise ProfileError(f"{where}: a profile is a mapping of keys, not {type(raw).__name__}")
    content = dict(cast("Mapping[str, Any]", raw))
    try:
        read_format(content, FORMAT, where=where, kind="profile")
    except RefusedError as error:
        raise ProfileError(str(error)) from error
    kind = _model(content.get("model"), where)
    content["parameters"] = _validated(kind.parameters, content.get("parameters"), f"{where}: parameters")
    return _validated(Profile, content, where)


def make_model(profile: Profile, size: int, seed: int) -> DeviceModel:
    """Make ``size`` cells of the profile's device model, seeded once.

    Raises
    ------
    ProfileError
        For no cells at all, and for cells that only live in the network of a passive chip.
    """
    if size < 1:
        raise ProfileError(f"a chip needs at least one cell, not {size}")
    make = _model(profile.model, profile.name).make
    if make is None:
        raise ProfileError(
            f"cells of profile {profile.name!r} share their lines' voltages and have no life apart: make a PassiveChip"
        )
    return make(profile.parameters, size, seed)


def _model(name: object, where: str) -> ModelKind:
    """Return the device model a profile names: one that is shipped, or that a package or plug-in offers."""
    known = plugins.offered(plugins.DEVICE_MODELS)
    if not isinstance(name, str) or name not in known:
        raise ProfileError(f"{where}: model {name!r} is unknown; models are {', '.join(known)}")
    try:
        return kind_of(name, plugins.load(plugins.DEVICE_MODELS, name))
    except RefusedError as error:
        raise ProfileError(f"{where}: {error}") from error


def _validated(kind: type[S], raw: object, where: str) -> S:
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise ProfileError(f"{where}: " + "; ".join(_sentence(kind, item) for item in error.errors())) from error


def _sentence(kind: type[Section], item: Mapping[str, Any]) -> str:
    path = [str(part) for part in item["loc"]]
    if item["type"] == "extra_forbidden":
        return f"unknown key {'.'.join(path)!r}; known here: {', '.join(_fields_at(kind, path[:-1]))}"
    if item["type"] == "missing":
        return f"key {'.'.join(path)!r} is missing"
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{'.'.join(path)}: {message}" if path else message


def _fields_at(kind: type[BaseModel], path: list[str]) -> list[str]:
    here: type[BaseModel] = kind
    for part in path:
        field = here.model_fields.get(part)
        annotation = field.annotation if field else None
        options = [o for o in (annotation, *get_args(annotation)) if isinstance(o, type) and issubclass(o, BaseModel)]
        if not options:
            break
        here = options[0]
    return list(here.model_fields)
