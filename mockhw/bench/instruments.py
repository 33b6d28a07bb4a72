"""Builds the simulated instruments of a bench file and the cables between them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..instrument import BenchLog, SimulatedInstrument
from ..instruments.array_board.spec import block
from ..probe_circuit.circuit import GROUND, ProbeCircuit
from ..sim_clock import SimClock
from .entries import (
    ArcTwoEntry,
    ArrayBoardEntry,
    Keithley2400Entry,
    Keithley2450Entry,
    Keithley2600Entry,
    Keithley4200Entry,
    Keysight33622AEntry,
    KeysightB1500Entry,
    KeysightB2201AEntry,
    SourceMeterEntry,
)
from .file import BenchFileError, HandEntry, Wiring

if TYPE_CHECKING:
    from ..chip.virtual_chip import VirtualChip
    from ..instruments.arc_two.library import Pyarc2
    from ..instruments.keysight_b1530.library import Wgfmu
    from ..passive_chip.chip import PassiveChip
    from ..probe_circuit.hand import Hand

ProbeEntry = (
    Keithley2400Entry
    | Keithley2450Entry
    | Keithley2600Entry
    | Keithley4200Entry
    | Keysight33622AEntry
    | KeysightB1500Entry
    | KeysightB2201AEntry
)
_PULSER_OHMS = 50.0


def make_board(
    address: str, entry: ArrayBoardEntry, chip: VirtualChip, clock: SimClock, log: BenchLog, *, seed: int, profile: str
) -> SimulatedInstrument:
    """Return an array board with ``chip`` in its socket."""
    from ..instruments.array_board.board import ArrayBoard
    from ..instruments.array_board.spec import (
        BoardSpec,
        CircuitErrors,
        ConverterErrors,
        DriverSteps,
        RampErrors,
        supported,
    )

    converters, ramp, circuits = entry.converters, entry.ramp, entry.saturation

    spec = BoardSpec(
        rows=chip.rows,
        cols=chip.cols,
        gate_axis=chip.gate_axis,
        revision=entry.protocol,
        supports=supported(entry.protocol, entry.lacks),
        vmm_bits=converters.bits,
        vmm_ranges=converters.ranges,
        vmm_volts_max=converters.input_range,
        drivers=DriverSteps(converters.input_bits, converters.input_rounding),
        converters=ConverterErrors(converters.noise, converters.gain_spread, converters.offset_spread),
        ramp_errors=RampErrors(ramp.comparator_noise, ramp.comparator_offset_spread, ramp.ramp_noise),
        saturation=CircuitErrors(circuits.gain_spread, circuits.offset_spread, circuits.sharpness),
    )
    if spec.read_gate > spec.gate_max:
        spec = replace(spec, read_gate=spec.gate_max)
    return ArrayBoard(address, clock, log, chip=chip, spec=spec, serial=entry.serial, seed=seed, profile_name=profile)


def make_arc_two(
    entries: Sequence[ArcTwoEntry],
    chip: VirtualChip | PassiveChip,
    clock: SimClock,
    *,
    seed: int,
    profile: str,
    name: str,
) -> Pyarc2:
    """Return what stands for ``pyarc2``, with ``chip`` on its one board; ``name`` is the bench file, for messages."""
    from ..instruments.arc_two.board import SELECTORS, ArcTwoBoard
    from ..instruments.arc_two.library import Pyarc2

    if len(entries) > 1:
        raise BenchFileError(f"{name}: one chip sits on one ArC TWO, and the file has {len(entries)}: take one out")
    entry = entries[0]
    if (len(entry.rows), len(entry.cols)) != (chip.rows, chip.cols):
        raise BenchFileError(
            f"{name}: arc_two has {len(entry.rows)} rows and {len(entry.cols)} cols; the chip is "
            f"{chip.rows} × {chip.cols}"
        )
    if len({*entry.rows, *entry.cols}) != chip.rows + chip.cols:
        raise BenchFileError(f"{name}: arc_two.rows and arc_two.cols name different channels, each 0 to 63")
    lines = {None: 0, "row": chip.rows, "col": chip.cols}[chip.gate_axis]
    gates = tuple(range(lines)) if entry.gates is None else entry.gates
    if len(set(gates)) != len(gates) or len(gates) != lines or lines > SELECTORS:
        raise BenchFileError(
            f"{name}: arc_two.gates: {len(set(gates))} selectors for the {lines} gate lines of the chip: name one for "
            f"each, of 0 to {SELECTORS - 1}"
        )
    board = ArcTwoBoard(
        chip, clock, rows=entry.rows, cols=entry.cols, gates=gates, seed=seed, noise=entry.noise, serial=entry.serial
    )
    return Pyarc2({entry.port: board}, clock, profile)


def make_wgfmu(
    entries: Sequence[KeysightB1500Entry],
    circuit: ProbeCircuit,
    clock: SimClock,
    log: BenchLog,
    *,
    seed: int,
    profile: str,
    name: str,
) -> Wgfmu:
    """Return what stands for the library ``wgfmu``, which drives the B1530A of one mainframe."""
    from ..instruments.keysight_b1530.library import Simulation, Wgfmu
    from ..instruments.keysight_b1530.module import WgfmuModule

    if len(entries) > 1:
        raise BenchFileError(f"{name}: the library drives one mainframe, and the file has {len(entries)} with a WGFMU")
    entry = entries[0]
    module = WgfmuModule(
        circuit, [(number, circuit.terminal(f"{entry.name}.rsu{number}")) for number in entry.rsus], clock,
        seed=seed + 500, told=lambda now, what: log.add(now, entry.address, what),
    )  # fmt: skip
    chip = circuit.chip
    told = Simulation(clock, lambda: {"profile": profile, "seed": chip.seed, "birth": chip.birth}, entry.serial)
    return Wgfmu(module, entry.address, told)


def make_circuit(
    wiring: Wiring | None, entries: list[ProbeEntry], chip: PassiveChip, clock: SimClock, log: BenchLog, *, name: str
) -> ProbeCircuit:
    """Return the cables between ``entries`` and ``chip``; ``name`` is the bench file, for messages."""
    if wiring is None:
        raise BenchFileError(
            f"{name}: key 'wiring' is missing: a probe station says which instrument is on which matrix input and "
            "which line of the chip on which output"
        )
    terminals = [GROUND]
    for entry in entries:
        if isinstance(entry, SourceMeterEntry):
            terminals.append(entry.name)
        elif isinstance(entry, Keithley2600Entry):
            terminals += [f"{entry.name}.a", f"{entry.name}.b"]
        elif isinstance(entry, Keithley4200Entry):
            terminals += [f"{entry.name}.{part}" for part in ("smu1", "smu2", "pmu1", "pmu2")]
        elif isinstance(entry, KeysightB1500Entry):
            terminals += [f"{entry.name}.smu{n}" for n in entry.smus] + [f"{entry.name}.rsu{n}" for n in entry.rsus]
        elif isinstance(entry, Keysight33622AEntry):
            terminals += [f"{entry.name}.1", f"{entry.name}.2"]
    for port, terminal in wiring.inputs.items():
        if terminal not in terminals or not 1 <= port <= 14:
            raise BenchFileError(
                f"{name}: wiring.inputs: {port}: {terminal}: an input is 1 to 14, and carries one of "
                + ", ".join(terminals)
            )
    if (len(wiring.rows), len(wiring.cols)) != (chip.rows, chip.cols):
        raise BenchFileError(
            f"{name}: wiring has {len(wiring.rows)} rows and {len(wiring.cols)} cols; "
            f"the chip is {chip.rows} × {chip.cols}"
        )
    outputs = (*wiring.rows, *wiring.cols)
    if len(set(outputs)) != len(outputs) or not all(1 <= port <= 48 for port in outputs):
        raise BenchFileError(f"{name}: wiring.rows and wiring.cols name different matrix outputs, each 1 to 48")
    return ProbeCircuit(chip, clock, log, inputs=wiring.inputs, outputs=outputs, relay_ohms=wiring.relay_ohms)


def make_hand(
    entry: HandEntry, entries: list[ProbeEntry], chip: PassiveChip, clock: SimClock, log: BenchLog, *, name: str
) -> Hand:
    """Return who puts the leads of one source-measure unit on devices of ``chip``."""
    from ..probe_circuit.hand import Hand

    if [one.name for one in entries if isinstance(one, SourceMeterEntry)] != [entry.smu] or len(entries) != 1:
        raise BenchFileError(f"{name}: hand: a hand has the leads of one source-measure unit, and it is {entry.smu!r}")
    try:
        return Hand(
            chip, clock, log, smu=entry.smu, devices=entry.devices, connected=entry.connected,
            contact_ohms=entry.contact_ohms, script=entry.script,
        )  # fmt: skip
    except ValueError as error:
        raise BenchFileError(f"{name}: hand: {error}") from error


def make_probe_instrument(
    address: str, entry: ProbeEntry, circuit: ProbeCircuit, clock: SimClock, log: BenchLog, *, seed: int, profile: str
) -> SimulatedInstrument:
    """Return one instrument of a probe station, its terminals tied into ``circuit``."""
    info = _info(circuit.chip, profile)
    if isinstance(entry, Keithley2400Entry):
        from ..instruments.keithley_2400.instrument import Keithley2400

        terminal = circuit.terminal(entry.name, delay=entry.limit_delay)
        return Keithley2400(
            address, clock, log, circuit=circuit, terminal=terminal, serial=entry.serial, seed=seed, info=info
        )
    if isinstance(entry, Keithley2450Entry):
        from ..instruments.keithley_2450.instrument import Keithley2450

        terminal = circuit.terminal(entry.name, delay=entry.limit_delay)
        return Keithley2450(
            address, clock, log, circuit=circuit, terminal=terminal, serial=entry.serial, seed=seed, info=info
        )
    if isinstance(entry, Keithley2600Entry):
        from ..instruments.keithley_2600.instrument import Keithley2600

        both = (
            circuit.terminal(f"{entry.name}.a", delay=entry.limit_delay),
            circuit.terminal(f"{entry.name}.b", delay=entry.limit_delay),
        )
        return Keithley2600(
            address, clock, log, circuit=circuit, terminals=both, model=entry.model, serial=entry.serial, seed=seed,
            info=info,
        )  # fmt: skip
    if isinstance(entry, Keithley4200Entry):
        from ..instruments.keithley_4200.instrument import Keithley4200

        smus = tuple(circuit.terminal(f"{entry.name}.smu{n}", delay=entry.limit_delay) for n in (1, 2))
        first, second = (circuit.terminal(f"{entry.name}.pmu{n}", ohms=_PULSER_OHMS) for n in (1, 2))
        return Keithley4200(
            address, clock, log, circuit=circuit, smus=smus, pulses=(first, second), serial=entry.serial, seed=seed,
            info=info,
        )  # fmt: skip
    if isinstance(entry, KeysightB1500Entry):
        from ..instruments.keysight_b1500.instrument import KeysightB1500

        outputs = {n: circuit.terminal(f"{entry.name}.smu{n}", delay=entry.limit_delay) for n in entry.smus}
        return KeysightB1500(
            address, clock, log, circuit=circuit, smus=outputs, wgfmus=() if entry.wgfmu is None else (entry.wgfmu,),
            serial=entry.serial, seed=seed, info=info,
        )  # fmt: skip
    if isinstance(entry, Keysight33622AEntry):
        from ..instruments.keysight_33622a.instrument import Keysight33622A

        first = circuit.terminal(f"{entry.name}.1", ohms=_PULSER_OHMS)
        second = circuit.terminal(f"{entry.name}.2", ohms=_PULSER_OHMS)
        return Keysight33622A(
            address, clock, log, circuit=circuit, terminals=(first, second), serial=entry.serial, seed=seed, info=info
        )
    from ..instruments.keysight_b2201a.instrument import KeysightB2201A

    return KeysightB2201A(address, clock, log, circuit=circuit, serial=entry.serial, cards=entry.cards, info=info)


def _info(chip: PassiveChip, profile: str) -> Callable[[], bytes]:
    return lambda: block(json.dumps({"profile": profile, "seed": chip.seed, "birth": chip.birth}).encode())
