"""Is a bench as good as its word? Every check of the contract, a known resistor, what a pulled cable and a kill do.

No cell gets more than the voltage of a read. A person is asked before a cable is to be pulled, and on a real bench
before anything begins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ....analysis.quantities import format_value
from ....common.errors import RefusedError, XbarlabError
from ....conformance import declared, life, products, pulses, reads, refusals, traces
from ....conformance.subject import BrokenError, NotHereError, Subject
from ....instruments.abilities import Samples
from ...stations import open_bench
from .check import RESISTOR_TOLERANCE, Finding, check_bench
from .kill import killed_and_resumed, not_to_be_killed
from .page import keep_in_account

if TYPE_CHECKING:
    from ....conformance.checks import Check
    from ....instruments.wire.safe_state import SafeStep

_GROUPS = (
    ("what it declares", declared.GROUP, "members, spec, limits and abilities are there"),
    ("limits refused", refusals.GROUP, "each refused in a sentence, before a byte leaves"),
    ("reads", reads.GROUP, "records, units, signs, cost as foretold"),
    ("pulses as quantised", pulses.GROUP, "to half a step of the instrument, cost as foretold"),
    ("sweeps and samples", traces.GROUP, "records, times and signs"),
    ("products and updates", products.GROUP, "records, signs, no pulse too many"),
    ("threads and idle", life.GROUP, "one action at a time, idle from anywhere"),
)
_LEAST_VOLTS = 1e-3
_FULL = 0.8
"""Part of a range that a known resistor is to fill."""
OVERSHOOT_MAX = 0.1
"""Assumed: a step that overshoots by less than a tenth gives no cell more than its next pulse would."""


@dataclass(frozen=True)
class Person:
    """Who stands at the bench: is told things, and asked; ``ask`` returns False where nobody does what was asked."""

    tell: Callable[[str], None]
    ask: Callable[[str], bool]


def check_fully(
    file: str, person: Person, *, cells: str | None = None, resistor: float | None = None
) -> tuple[list[Finding], dict[str, str]]:
    """Return what was found, and what it was found on.

    Parameters
    ----------
    file : station file, or name of a shipped one
    cells : which may be pulsed at the read voltage; the first four that are known as good by default
    resistor : float [Ω]
        Of a known resistor in the place of the first of them.

    Raises
    ------
    RefusedError
        The person does not want it; nothing was done to the chip.
    """
    with TemporaryDirectory(prefix="xbarlab-check-", ignore_cleanup_errors=True) as folder:
        log = Path(folder) / "wire.log"
        log.touch()
        with open_bench(file, trace=log) as bench:
            on = Subject.on(bench, cells, log)
            _announce(on, person)
            findings = check_bench(bench)
            findings += [_contract(on, name, wanted, group.checks) for name, group, wanted in _GROUPS]
            for look in (lambda: _resistor(on, resistor), lambda: [_shape(on)], lambda: [_waits(on)],
                         lambda: [_idle_order(on)], lambda: [_cable(on, person)]):  # fmt: skip
                findings += _safely(look)
            about = _about(on)
            killed = not_to_be_killed(file)
            keep_in_account(bench, [*findings, killed] if killed is not None else findings, about)
        if killed is not None:
            return [*findings, killed], about
        findings += _safely(lambda: [killed_and_resumed(file, str(on.cells), Path(folder))])
        with open_bench(file) as bench:  # it opens again, after another process was killed on it
            keep_in_account(bench, findings, about)
    return findings, about


def _announce(on: Subject, person: Person) -> None:
    for line in (
        *on.announced(),
        "A resistor box in the chip's place is safe with all of this. You are asked before a cable is to be pulled.",
        "At the end the bench is closed, and a run that only reads is killed and resumed on it by other processes.",
    ):
        person.tell(line)
    if not on.spec.simulated and not person.ask("Begin?"):
        raise RefusedError(
            "the full check was not begun: the bench was opened and closed, no more; --yes begins at once"
        )


def _about(on: Subject) -> dict[str, str]:
    bench = on.bench
    return {
        "Station": bench.path.name,
        "Array": f"{on.spec.name}: {on.spec.rows} × {on.spec.cols} {on.spec.cell}",
        "Chip": bench.chip.id if bench.chip is not None else "",
        "Cells": str(on.cells),
        **{name: f"{who.maker} {who.model}, {who.serial}, {who.firmware}" for name, who in bench.identities.items()},
    }


def _safely(look: Callable[[], Sequence[Finding]]) -> list[Finding]:
    """Return what a look finds; what it could not do is a finding, too."""
    try:
        return list(look())
    except XbarlabError as error:
        return [Finding("the check itself", "ended early", "an end", False, str(error))]


def _contract(on: Subject, name: str, wanted: str, checks: Sequence[Check]) -> Finding:
    """Hold the array to a group of checks; they are one line."""
    held, left, broken = 0, list[str](), list[str]()
    for check in checks:
        try:
            check.on(on)
            held += 1
        except NotHereError as why:
            left.append(str(why))
        except (BrokenError, XbarlabError) as found:
            broken.append(f"{check.name}: {found}")
    skipped = f", {len(left)} left out" if left else ""
    told = f"{held} of {held + len(broken)} hold{skipped}"
    if broken:
        return Finding(name, told, wanted, False, " · ".join(broken))
    return Finding(name, told, wanted, True if held else None, "; ".join(dict.fromkeys(left)))


def _resistor(on: Subject, ohms: float | None) -> list[Finding]:
    """Read a known resistor on every range that it can fill within the limits."""
    wanted = f"within {RESISTOR_TOLERANCE:.0%} and 5 standard errors on every range"
    if ohms is None:
        told = "put a resistor you know in the place of the first cell and say --resistor 10kohm"
        return [Finding("known resistor over ranges", "not measured", wanted, None, told)]
    spec, (row, col) = on.spec, on.cell
    cell = type(on.cells)(row, 1, col, 1)
    found: list[Finding] = []
    for full in spec.read_ranges or (spec.limits.current_max,):
        volts = _FULL * full * ohms
        name = f"{format_value(ohms, 'Ω')} on the {format_value(full, 'A')} range"
        if not _LEAST_VOLTS <= volts <= spec.limits.read_volts_max:
            why = (
                f"it would take {format_value(volts, 'V')}; reads go to {format_value(spec.limits.read_volts_max, 'V')}"
            )
            found.append(Finding(name, "not measured", wanted, None, f"{why}: another resistor tells"))
            continue
        seen = on.array.read(cell, volts, average=on.average)
        conductance, error = float(seen.conductance[0, 0]), float(seen.stderr[0, 0])
        off = conductance * ohms - 1.0
        ok = abs(off) <= RESISTOR_TOLERANCE + 5.0 * error * ohms
        measured = format_value(1.0 / conductance, "Ω") if conductance > 0.0 else "no current"
        remedy = "the current measurement is off on this range: recalibrate before trusting any conductance"
        found.append(Finding(name, f"{measured} ({off:+.2%} of its conductance)", wanted, ok, remedy))
    return found


def _shape(on: Subject) -> Finding:
    """Look at a step of the bias through ``sample``: how high, how soon, how far beyond."""
    name, wanted = "shape of a step", f"settles to what a read gives, at most {OVERSHOOT_MAX:.0%} beyond"
    width = "width and amplitude of a pulse are seen by an oscilloscope on the line only"
    spec, (row, col) = on.spec, on.cell
    if not spec.can(Samples):
        return Finding(name, "not seen", wanted, None, f"{spec.name} cannot sample; {width}")
    points = min(200, spec.sample_points_max)
    rate = spec.sample_rate_max
    trace = on.array.ability(Samples).sample(row, col, on.volts, rate=rate, seconds=points / rate)
    late = trace.current[points // 2 :]
    level, spread = float(np.median(late)), float(np.std(late))
    if abs(level) < 5.0 * spread or level == 0.0:
        return Finding(
            name, "no current above the noise", wanted, None, f"name a cell that conducts by --cells; {width}"
        )
    read = on.array.read(type(on.cells)(row, 1, col, 1), on.volts, average=on.average)
    ratio = level / (float(read.conductance[0, 0]) * on.volts)
    beyond = float(np.max(trace.current / level)) - 1.0
    outside = np.flatnonzero(np.abs(trace.current / level - 1.0) > 0.05 + 3.0 * spread / abs(level))
    settled = float(trace.time[min(int(outside[-1]) + 1, points - 1)]) if outside.size else float(trace.time[0])
    told = (
        f"{ratio:.3g} of what a read gives, settled by {format_value(settled, 's')} at "
        f"{format_value(float(rate), 'Hz')}, {max(beyond, 0.0):.1%} beyond"
    )
    fine = 0.8 < ratio < 1.25 and beyond <= OVERSHOOT_MAX + 5.0 * spread / abs(level)
    return Finding(name, told, wanted, fine, f"look at cables and compensation; {width}" if not fine else width)


def _waits(on: Subject) -> Finding:
    """Ask every instrument how long it waits at most."""
    name, wanted = "time-outs", "none infinite"
    waits: dict[str, float | None] = {}
    for one in on.bench.file.instruments:
        timeout: Any = getattr(on.bench.station.components[one], "timeout", None)
        if callable(timeout):
            waits[one] = cast("float | None", timeout())
    if not waits:
        return Finding(name, "not known", wanted, None, "no instrument here has a timeout parameter")
    endless = [one for one, seconds in waits.items() if seconds is None or not 0.0 < seconds < 1e5]
    told = ", ".join(f"{one} {'endless' if seconds is None else f'{seconds:g} s'}" for one, seconds in waits.items())
    return Finding(name, told, wanted, not endless, f"{', '.join(endless)} may wait for ever: set a timeout")


def _idle_order(on: Subject) -> Finding:
    """Idle, and look at what was done in which order."""
    name, wanted = "idle", "0 V first, then disconnected, each confirmed by the instrument"
    on.array.read(on.cells, on.volts)
    on.array.idle()
    steps = list(getattr(on.array, "ending", ()))
    if not steps:
        return Finding(name, "does not say", wanted, None, "the array has no `ending`: look at it with a meter")
    told = " → ".join(f"{step.instrument}: {step.step}" for step in steps)
    unsure = [str(step) for step in steps if not step.confirmed]
    early = [one for one in dict.fromkeys(step.instrument for step in steps) if _lets_go_early(steps, one)]
    relays = [n for n, step in enumerate(steps) if "relays open" in step.step]
    sources = [n for n, step in enumerate(steps) if "0 V" in step.step or step.step.endswith("off")]
    hot = ["relays open before every source is off"] if relays and sources and relays[0] < sources[-1] else []
    remedy = "; ".join([*unsure, *(f"{one} lets go before it is at 0 V" for one in early), *hot])
    return Finding(name, told, wanted, not remedy, remedy)


def _lets_go_early(steps: Sequence[SafeStep], instrument: str) -> bool:
    done = [step.step for step in steps if step.instrument == instrument]
    zero = [n for n, step in enumerate(done) if "0 V" in step]
    off = [n for n, step in enumerate(done) if step.endswith(("off", "disconnected"))]
    return bool(zero and off) and min(off) < min(zero)


def _cable(on: Subject, person: Person) -> Finding:
    """Let somebody pull a cable, and see what becomes of a read without and with it."""
    name, wanted = "a pulled cable", "one sentence or a read done once more; with the cable back it reads as before"
    where = ", ".join(on.bench.file.instruments)
    before = on.array.read(on.cells, on.volts, average=on.average)
    known = len(on.bench.incidents)
    if not person.ask(
        f"Pull the cable of an instrument ({where}) now, and say yes when it is out. No leaves this out."
    ):
        return Finding(name, "not tried", wanted, None, "nobody pulled one: answer yes when asked")
    try:
        on.array.read(on.cells, on.volts)
        without = "the read was done once more" if len(on.bench.incidents) > known else ""
    except XbarlabError as error:
        without = f"{type(error).__name__}: {error}"
    if not person.ask("Put it back, and say yes when it is in."):
        return Finding(name, without or "nothing was noticed", wanted, None, "it was not put back: check again with it")
    after: Any = None
    for _ in range(2):  # the first may find a connection that is lost
        try:
            after = on.array.read(on.cells, on.volts, average=on.average)
            break
        except XbarlabError as error:
            without += f"; then {error}"
    if after is None:
        return Finding(name, without, wanted, False, "it does not read with the cable back: open the bench anew")
    if not without:
        return Finding(name, "nothing was noticed", wanted, None, "was the right cable out? a read went through")
    error = 6.0 * np.hypot(before.stderr, after.stderr) + 0.3 * np.abs(before.conductance)
    same = bool((np.abs(after.conductance - before.conductance) <= error).mean() >= 0.5)
    remedy = "" if same else "cells read otherwise than before: were they biased while the cable was out?"
    return Finding(name, without, wanted, same, remedy)
