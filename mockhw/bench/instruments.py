"""Builds the simulated instruments of a bench file and the cables between them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ..instrument import BenchLog, SimulatedInstrument
from ..instruments.array_board.spec import block
from ..probe_circuit.circuit import GROUND, ProbeCircuit
from ..sim_clock import SimClock
from .file import (
    ArrayBoardEntry,
    BenchFileError,
    Keithley2400Entry,
    Keithley2450Entry,
    Keithley4200Entry,
    Keysight33622AEntry,
    KeysightB2201AEntry,
    SourceMeterEntry,
    Wiring,
)

if TYPE_CHECKING:
    from ..chip.virtual_chip import VirtualChip
    from ..passive_chip.chip import PassiveChip

ProbeEntry = Keithley2400Entry | Keithley2450Entry | Keithley4200Entry | Keysight33622AEntry | KeysightB2201AEntry
_PULSER_OHMS = 50.0


def make_board(
    address: str, entry: ArrayBoardEntry, chip: VirtualChip, clock: SimClock, log: BenchLog, *, seed: int, profile: str
) -> SimulatedInstrument:
    """Return an array board with ``chip`` in its socket."""
    from ..instruments.array_board.board import ArrayBoard
    from ..instruments.array_board.spec import BoardSpec, CircuitErrors, ConverterErrors, RampErrors, supported

    converters, ramp, circuits = entry.converters, entry.ramp, entry.saturation

    spec = BoardSpec(
        rows=chip.rows,
        cols=chip.cols,
        gate_axis=chip.gate_axis,
        revision=entry.protocol,
        supports=supported(entry.protocol, entry.lacks),
        vmm_bits=converters.bits,
        vmm_ranges=converters.ranges,
        converters=ConverterErrors(converters.noise, converters.gain_spread, converters.offset_spread),
        ramp_errors=RampErrors(ramp.comparator_noise, ramp.comparator_offset_spread, ramp.ramp_noise),
        saturation=CircuitErrors(circuits.gain_spread, circuits.offset_spread, circuits.sharpness),
    )
    if spec.read_gate > spec.gate_max:
        spec = replace(spec, read_gate=spec.gate_max)
    return ArrayBoard(address, clock, log, chip=chip, spec=spec, serial=entry.serial, seed=seed, profile_name=profile)


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
        elif isinstance(entry, Keithley4200Entry):
            terminals += [f"{entry.name}.{part}" for part in ("smu1", "smu2", "pmu1", "pmu2")]
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
    if isinstance(entry, Keithley4200Entry):
        from ..instruments.keithley_4200.instrument import Keithley4200

        smus = tuple(circuit.terminal(f"{entry.name}.smu{n}", delay=entry.limit_delay) for n in (1, 2))
        first, second = (circuit.terminal(f"{entry.name}.pmu{n}", ohms=_PULSER_OHMS) for n in (1, 2))
        return Keithley4200(
            address, clock, log, circuit=circuit, smus=smus, pulses=(first, second), serial=entry.serial, seed=seed,
            info=info,
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
