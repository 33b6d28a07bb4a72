"""What of the text that a user sends to a board is judged."""

from __future__ import annotations

from ..wire.command_guard import Rule

RULES = (
    Rule("SOURce:READ:VOLTage", {0: ("read_volts", "V")}),
    Rule("SOURce:READ:GATE", {0: ("gate", "V")}),
    Rule("SOURce:VMM:GATE", {0: ("gate", "V")}),
    Rule("SAMPle", {2: ("read_volts", "V"), 3: ("gate", "V")}),
    Rule("PULSe:MAP", method="pulse()"),
    Rule("PULSe:MAP:LONG", method="pulse()"),
    Rule("SWEep:RUN", method="sweep()"),
    Rule("VMM:FORWard", method="vmm()"),
    Rule("VMM:REVerse", method="vmm_reversed()"),
    Rule("UPDate:OUTer", method="outer_update()"),
    Rule("UPDate:OUTer:TILes", method="outer_updates()"),
    Rule("PROGram:VERify", method="program_verify()"),
    Rule("ADC:RAMP:*", method="convert()"),
    Rule("ADC:SATurate:LEVels", method="vmm_saturated()"),
)
# Commands of revision 2 with a block, which no method checks yet, are on no list.
ALLOWED = (
    "SOURce:ZERO", "SENSe:RANGe", "SENSe:AVERage", "SENSe:VMM:RANGe", "OUTPut[:STATe]", "ABORt", "SYSTem:WATChdog:*",
    "UPDate:SEED", "STATus:*", "ADC:MODE", "ADC:BITS", "SIMulation:CLOCk:ADVance",
)  # fmt: skip
