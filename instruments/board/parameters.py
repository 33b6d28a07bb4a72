"""The settings of a board as QCoDeS parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qcodes.parameters import ManualParameter, create_on_off_val_mapping
from qcodes.validators import Enum, Ints, MultiType, Numbers

from ..wire.wire_text import sent
from .settings import read_range

if TYPE_CHECKING:
    from qcodes.instrument import VisaInstrument

    from .mount import Mount


def add_settings(board: VisaInstrument, mount: Mount) -> dict[str, Any]:
    """Add the parameters of a board; return which parameter shows what is set by which header."""
    can, limits = mount.can, mount.limits
    gated = mount.spec.gate_axis is not None
    shown: dict[str, Any] = {}

    def add(header: str, name: str, label: str, unit: str, values: Any, docstring: str, **options: Any) -> None:
        how: dict[str, Any] = {"get_parser": float, "set_cmd": f"{header} {{}}", "set_parser": sent, **options}
        shown[header] = board.add_parameter(
            name, label=label, unit=unit, vals=values, get_cmd=f"{header}?", docstring=docstring, **how
        )

    add(
        "SOUR:READ:VOLT", "read_volts", "Read amplitude", "V", _between(-limits.read_volts_max, limits.read_volts_max),
        "Control the amplitude of reads, ± ``limits.read_volts_max`` [V]; ``read()`` sets it to what it is asked.",
    )  # fmt: skip
    add(
        "SENS:RANG", "read_range", "Range of reads", "A", MultiType(Enum("AUTO"), Numbers(0.0, can.read_ranges[-1])),
        'Control the range of reads, one of ``spec.read_ranges`` (rounded up) [A], or ``"AUTO"`` (default).',
        get_parser=read_range, set_parser=str,
    )  # fmt: skip
    add(
        "SENS:AVER", "read_average", "Conversions per cell", "", Ints(1, can.read_average_max),
        "Control the conversions per cell of reads; ``read()`` sets it to what it is asked.",
        get_parser=int, set_parser=int,
    )  # fmt: skip
    add(
        "SYST:WATC", "watchdog", "Watchdog", "s", Numbers(0.0, 3600.0),
        "Control the silence after which the board disconnects the array, 0 (never) to 3600 [s] of wall time.",
        set_parser=_nine_digits,
    )  # fmt: skip
    board.add_parameter(
        "output", label="Array connected", get_cmd="OUTP?", set_cmd="OUTP {}",
        val_mapping=create_on_off_val_mapping(on_val="1", off_val="0"),
        docstring="Control whether the array is connected; the first action connects it.",
    )  # fmt: skip
    if gated:
        add(
            "SOUR:READ:GATE", "read_gate", "Gate voltage of reads", "V", _between(0.0, limits.gate_max),
            "Control the gate voltage of reads, 0 to ``limits.gate_max`` [V]; ``read()`` sets it.",
        )  # fmt: skip
    if "vmm" in can.supports:
        add(
            "SENS:VMM:RANG", "vmm_range", "VMM full scale", "A", Numbers(0.0, can.vmm_ranges[-1]),
            "Control the full scale of the converters in VMM, rounded up to the board's next range [A].",
        )  # fmt: skip
        if gated:
            add(
                "SOUR:VMM:GATE", "vmm_gate", "Gate voltage of VMM", "V", _between(0.0, limits.gate_max),
                "Control the gate voltage of all lines in VMM, 0 to ``limits.gate_max`` [V].",
            )  # fmt: skip
    return shown


def add_update_settings(board: VisaInstrument, mount: Mount) -> None:
    """Add what gives the drive of an outer-product update; it depends on the chip, so it has no default."""
    limits = mount.limits
    for name, unit, values, docstring in (
        ("update_width", "s", _between(limits.width_min, limits.width_max), "pulse width of outer_update [s]"),
        ("update_set_volts", "V", _between(0.0, limits.set_volts_max), "SET amplitude of outer_update [V]"),
        ("update_reset_volts", "V", _between(0.0, limits.reset_volts_max), "RESET amplitude as a magnitude [V]"),
        (
            "update_set_gate",
            "V",
            _between(0.0, limits.gate_max),
            "gate voltage of SETs in it [V], 0 V if not",
        ),
        ("update_reset_gate", "V", _between(0.0, limits.gate_max), "gate voltage of RESETs in it [V], 0 V if not"),
    ):
        board.add_parameter(name, ManualParameter, unit=unit, vals=values, docstring=f"Control the {docstring} set.")


def _nine_digits(value: float) -> str:
    return f"{value:.9g}"


def _between(low: float, high: float) -> Numbers | Enum:
    """Return the validator of a number; QCoDeS knows no range of a single value, which limits may leave."""
    return Numbers(low, high) if high > low else Enum(low)
