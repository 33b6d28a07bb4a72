"""What was done to the cells: one typed record per kind of measurement, complete enough to do it again on a model.

Voltages are across cell and transistor [V]; amplitudes of pulses are magnitudes, their polarity is said by what they
are for. A number that nobody wrote down is ``unknown`` (None): a fit may estimate it, and nothing fills it in silently.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, model_validator

from ...common.records import Record
from .measures import Amperes, Gate, Hertz, Ohms, Seconds, Siemens, Volts
from .write_algorithms import Algorithm, Pulse, Pulses, Whole

Polarity = Literal["set", "reset"]


class Start(Record):
    """How the cells came to where the measurement found them."""

    cycles: Whole = Field(default=None, description="SET/RESET cycles that the cells had borne")
    cycle_reset: Pulse | None = Field(default=None, description="RESET pulse of these cycles")
    cycle_set: Pulse | None = Field(default=None, description="SET pulse of these cycles")
    said: str = Field(default="", description="in words")


class _Protocol(Record):
    read_volts: Volts = Field(default=None, description="at which the cells are read [V]")
    start: Start = Field(default=Start(), description="state of the cells before")
    sources: dict[str, str] = Field(
        default_factory=dict,
        description="dotted name of a number -> where it is from, or 'assumed', 'inferred', and why",
    )
    notes: str = Field(default="", description="what a reader should know")

    @model_validator(mode="after")
    def _sources_of_something(self) -> Self:
        for name in self.sources:
            here: Any = self
            for part in name.split("."):
                at = int(part) if isinstance(here, tuple) and part.isdigit() else None
                here = here[at] if at is not None and at < len(here) else getattr(here, part, _NOTHING)
                if here is _NOTHING:
                    raise ValueError(f"sources names {name!r}, and there is no {part!r} in it")
        return self

    def unknown(self) -> list[str]:
        """Return the dotted names of the numbers that are not known."""
        return [name for name in _unknown(self, "") if name not in self.moot()]

    def moot(self) -> frozenset[str]:
        """Return the names of numbers that do not matter here."""
        return frozenset()


_NOTHING = object()


class PulseSweep(_Protocol):
    """Single pulses whose amplitude or gate rises, each read before and after, until a stop rule ends the sweep."""

    kind: Literal["pulse_sweep"]
    polarity: Polarity
    swept: Literal["volts", "gate"]
    stop_beyond: Siemens = Field(
        default=None,
        description="a sweep ended when a SET read above, a RESET below this [S]; unknown: estimated from the data",
    )
    preparation: Pulses = Field(
        default=None, description="pulses that brought a cell to the start of every sweep, in order"
    )


class Forming(_Protocol):
    """A staircase of pulses, or a ramp of a current-limited source, that forms virgin cells.

    ``volts`` of the table is the one that did, or the last one where none did.
    """

    kind: Literal["forming"]
    method: Literal["pulses", "ramp"] = "pulses"
    width: Seconds = Field(description="of the pulses [s]; of a ramp the time per point")
    compliance: Amperes = Field(default=None, description="largest current of a ramp [A]")
    start_volts: Volts
    step_volts: Volts
    most_volts: Volts
    gate: Gate = Field(description="gate voltage [V], 'none' on a passive chip")
    gate_step: Volts = Field(default=None, description="by which the gate rises where the amplitude did not form [V]")
    formed_above: Siemens = Field(default=None, description="a cell that reads above this is formed [S]")

    def moot(self) -> frozenset[str]:
        """Pulses have no compliance."""
        return frozenset({"compliance"} if self.method == "pulses" else ())


class Cycling(_Protocol):
    """Alternate RESET and SET pulses, read after each."""

    kind: Literal["cycling"]
    reset: Pulse
    set: Pulse
    first: Polarity = "reset"


class WriteVerify(_Protocol):
    """Programming of cells into windows of conductance: how many reads and pulses it took, and where they ended."""

    kind: Literal["write_verify"]
    algorithm: Algorithm


class Bake(_Protocol):
    """Cells read, kept warm for a time, and read again."""

    kind: Literal["bake"]
    programmed: str = Field(default="", description="how they were programmed before, in words")
    extrapolate_to: Seconds = Field(default=None, description="age for which an analysis predicts the change [s]")

    def moot(self) -> frozenset[str]:
        """What an analysis is asked for is no part of what was done."""
        return frozenset({"extrapolate_to"})


class Reprogramming(_Protocol):
    """Cells programmed to each of several levels, cycle after cycle, and read once they had settled."""

    kind: Literal["reprogramming"]
    settle: Seconds = Field(default=None, description="from the last pulse to the read that counts [s]")


class Noise(_Protocol):
    """Conductance of cells read again and again at a steady rate."""

    kind: Literal["noise"]
    rate: Hertz = Field(gt=0, description="samples per second [1/s]")
    bandwidth: Annotated[float | None, Field(gt=0)] = Field(default=None, description="of the reading instrument [Hz]")


class IvSweep(_Protocol):
    """Current against voltage, swept in loops."""

    kind: Literal["iv_sweep"]
    positive_gate: Gate = "none"
    negative_gate: Gate = "none"
    compliance: Amperes = Field(default=None, description="largest current of the positive branch [A]")
    negative_compliance: Amperes = Field(default=None, description="largest current of the negative branch [A]")
    period: Seconds = Field(default=None, description="time of one loop [s]")
    dwell: Seconds = Field(default=None, description="time per point [s]")
    series_resistor: Ohms = Field(default=None, description="across which the current was read as volts [Ω]")
    current_in: Literal["A", "V across the series resistor"] = "A"

    def moot(self) -> frozenset[str]:
        """Currents in A need no resistor, and who knows one time knows the other."""
        timed = {"period"} if self.dwell is not None else {"dwell"} if self.period is not None else set[str]()
        return frozenset(timed | ({"series_resistor"} if self.current_in == "A" else set[str]()))


class PulseTrain(_Protocol):
    """Equal or rising pulses on a cell, read as they go; positive volts SET."""

    kind: Literal["pulse_train"]
    width: Seconds
    scheme: str = Field(default="", description="bias scheme of a passive array: V/2, V/3, virtual ground, float")


class Map(_Protocol):
    """Every cell of an array read once."""

    kind: Literal["map"]


Protocol = Annotated[
    PulseSweep | Forming | Cycling | WriteVerify | Bake | Reprogramming | Noise | IvSweep | PulseTrain | Map,
    Field(discriminator="kind"),
]
KINDS: tuple[type[_Protocol], ...] = (
    PulseSweep,
    Forming,
    Cycling,
    WriteVerify,
    Bake,
    Reprogramming,
    Noise,
    IvSweep,
    PulseTrain,
    Map,
)
"""Every kind of protocol."""


def _unknown(part: Any, before: str) -> Iterator[str]:
    if isinstance(part, tuple):
        for index, item in enumerate(part):
            yield from _unknown(item, f"{before}{index}.")
    if not isinstance(part, Record):
        return
    for name in type(part).model_fields:
        value = getattr(part, name)
        if value is None and not _optional_record(type(part).model_fields[name].annotation):
            yield f"{before}{name}"
        else:
            yield from _unknown(value, f"{before}{name}.")


def _optional_record(annotation: Any) -> bool:
    """Whether None means that there is no such part, not that a number is unknown."""
    return any(isinstance(part, type) and issubclass(part, Record) for part in get_args(annotation))
