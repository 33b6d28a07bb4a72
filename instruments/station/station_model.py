"""The station file as records: QCoDeS's ``instruments:`` and our ``xbarlab:`` section."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from ...common.records import InUnit, Record
from ..limits import limits_schema

FORMAT = 1

_DOTTED = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$"


def _empty(value: object) -> object:
    """Take a key without a value as an empty section, as YAML writers mean it."""
    return {} if value is None else value


Limits = Annotated[dict[str, Any], BeforeValidator(_empty), WithJsonSchema(limits_schema())]


class ParameterOptions(Record):
    """What QCoDeS takes of a parameter; it would pass over the rest with a warning."""

    initial_value: Any = None
    limits: Any = None
    label: str | None = None
    unit: str | None = None
    scale: Any = None
    offset: Any = None
    step: Any = None
    inter_delay: Annotated[float | None, InUnit("s")] = None
    post_delay: Annotated[float | None, InUnit("s")] = None
    alias: str | None = None
    monitor: bool | None = None


class AddedParameter(ParameterOptions):
    """A parameter that is added; ``source`` is the one it stands for."""

    source: str | None = None


class InstrumentEntry(Record):
    """One instrument.

    Attributes
    ----------
    type : str
        A short name (``xbarlab list instruments``), or the dotted path of a class of an installed package.
    address : str
        VISA resource name.
    init : dict
        What the driver is made with: ``visalib``, ``timeout``, ``chip``, ``limits``, …
    """

    type: Annotated[Any, WithJsonSchema({"type": "string", "anyOf": [{"pattern": _DOTTED}]})] = None
    driver: Any = None
    address: Annotated[Any, WithJsonSchema({"type": "string"})] = None
    port: int | None = None
    enable_forced_reconnect: bool | None = None
    init: Annotated[dict[str, Any], BeforeValidator(_empty)] = Field(default_factory=dict)
    parameters: Annotated[dict[str, ParameterOptions], BeforeValidator(_empty)] = Field(default_factory=dict)
    add_parameters: Annotated[dict[str, AddedParameter], BeforeValidator(_empty)] = Field(default_factory=dict)


class OurSection(Record):
    """The ``xbarlab:`` section.

    Attributes
    ----------
    array : str, list or dict
        Which instrument is the array; several boards that are one; or ``type`` and roles of one made of several.
    chip : str or list of str
        The chip file, relative to the station file; one for each board of several.
    clock : "auto", "wall", "simulated"
    limits : dict
        What this bench may apply at most; narrows what driver, board and chip allow.
    wear : str
        Where the wear ledger is: a folder, or a file that ends in ``.sqlite``.
    thermometer : str
        ``instrument.parameter`` that is the temperature of the chip [K or °C], recorded with what takes long.
    """

    array: Annotated[
        Any,
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "string"},
                    {"type": "array", "items": {"type": "string"}, "minItems": 2},
                    {"type": "object", "required": ["type"]},
                ]
            }
        ),
    ] = None
    chip: Annotated[
        Any,
        WithJsonSchema(
            {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}, {"type": "null"}]}
        ),
    ] = None
    clock: Literal["auto", "wall", "simulated"] = "auto"
    limits: Limits = Field(default_factory=dict)
    wear: Annotated[Any, WithJsonSchema({"type": ["string", "null"]})] = None
    thermometer: Annotated[Any, WithJsonSchema({"type": ["string", "null"], "pattern": _DOTTED})] = None


class StationRecord(Record):
    """A whole station file."""

    format: int = Field(default=FORMAT, ge=1, le=FORMAT)
    instruments: dict[str, InstrumentEntry] = Field(min_length=1)
    xbarlab: Annotated[OurSection, BeforeValidator(_empty)] = OurSection()
