"""Is a bench fit to touch a chip? Identity, open lines, read offset, known resistor, limits; no cell is pulsed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from ....analysis.quantities import format_value
from ....common.errors import RefusedError
from ....instruments.array_spec import ArraySpec
from ...runner.record import limits_told

if TYPE_CHECKING:
    from ....instruments.station.station import Bench

OPEN_OHMS_MIN = 1e6
# Assumed: an offset this small shifts no level of a usual 8-level map; a resistor off by more means a broken gain.
OFFSET_OF_SMALLEST_RANGE = 0.01
RESISTOR_TOLERANCE = 0.01


@dataclass(frozen=True)
class Finding:
    """One line of the check. ``ok`` is ``None`` where this bench cannot tell."""

    check: str
    found: str
    wanted: str
    ok: bool | None
    remedy: str = ""


@runtime_checkable
class Diagnosable(Protocol):
    """An array whose hardware can measure itself."""

    def diagnose(self) -> Any:
        """Return ``offset`` [A], ``reference`` and ``reference_nominal`` [Ω or None], ``open`` [Ω]."""
        ...


def check_bench(bench: Bench) -> list[Finding]:
    """Return what was found; leaves the array as it was opened, disconnected at the end by the bench itself."""
    spec = bench.array.spec
    findings = [
        Finding(
            f"identity of {name}",
            f"{identity.maker} {identity.model}, serial {identity.serial}, firmware {identity.firmware}",
            "an answer",
            bool(identity.model.strip()),
            "the instrument answers *IDN? without a model: check address and cabling",
        )
        for name, identity in bench.identities.items()
    ]
    array = cast("object", bench.array)
    if isinstance(array, Diagnosable):
        findings += _self_measured(array.diagnose(), spec)
    else:
        needs = "the array cannot measure itself: check with a meter before a chip is inserted"
        findings += [
            Finding(check, "not measured", wanted, None, needs)
            for check, wanted in (("open lines", "≥ 1 MΩ"), ("read offset", "≈ 0 A"), ("known resistor", "its value"))
        ]
    return [*findings, *_limits(spec)]


def _self_measured(diagnosis: Any, spec: ArraySpec) -> list[Finding]:
    smallest = min(spec.read_ranges)
    allowed = OFFSET_OF_SMALLEST_RANGE * smallest
    return [
        Finding(
            "open lines",
            format_value(diagnosis.open, "Ω"),
            "≥ 1 MΩ with the array disconnected",
            diagnosis.open >= OPEN_OHMS_MIN,
            "a line leaks: remove the chip, check relays, socket and cables for a short, then check again",
        ),
        Finding(
            "read offset",
            format_value(diagnosis.offset, "A"),
            f"within ±{format_value(allowed, 'A')} (1 % of the smallest range)",
            abs(diagnosis.offset) <= allowed,
            "let it warm up, run its zero adjustment, look for leakage or light on the chip",
        ),
        _known_resistor(diagnosis.reference, diagnosis.reference_nominal),
    ]


def _known_resistor(measured: float | None, nominal: float | None) -> Finding:
    if measured is None or nominal is None:
        remedy = "this bench has none: put a resistor you know in the chip's place, read it by hand and compare"
        return Finding("known resistor", "not measured", "its value", None, remedy)
    error = measured / nominal - 1.0
    return Finding(
        "known resistor",
        f"{format_value(measured, 'Ω')} ({error:+.2%})",
        f"{format_value(nominal, 'Ω')} ± 1 %",
        abs(error) <= RESISTOR_TOLERANCE,
        "the current measurement is off: recalibrate the converters before trusting any conductance",
    )


def _limits(spec: ArraySpec) -> list[Finding]:
    limits = spec.limits
    gated = spec.gate_axis is not None
    shown = limits_told(spec)
    try:
        limits.check("read_volts", spec.read_volts, channel=f"{spec.name} read")
        if gated:
            limits.check("gate", spec.read_gate, channel=f"{spec.name} read gate")
    except RefusedError as error:
        return [Finding("limits", shown, "the chip's own read fits in", False, str(error))]
    gate = f", gate {spec.read_gate:g} V" if gated else ""
    fits = f"the chip's own read ({spec.read_volts:g} V{gate}) fits in"
    return [Finding("limits", shown, fits, True)]


def passed(findings: Sequence[Finding]) -> bool:
    """Tell whether nothing that could be checked was found wrong."""
    return all(finding.ok is not False for finding in findings)


def print_findings(findings: Sequence[Finding]) -> None:
    """Print the table, and a remedy for everything that is not ok."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from ...runner.tables import make_console

    console = make_console()
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("check", "found", "wanted", ""):
        table.add_column(title)
    marks = {True: Text("ok", "green"), False: Text("not ok", "bold red"), None: Text("not checked", "yellow")}
    for finding in findings:
        table.add_row(finding.check, finding.found, finding.wanted, marks[finding.ok])
    console.print(table)
    for finding in findings:
        if not finding.ok:
            console.print(f"{finding.check}: {finding.remedy}", soft_wrap=True)
