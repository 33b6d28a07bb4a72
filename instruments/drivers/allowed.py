"""What of the text that a user sends to a bench instrument is judged, and how."""

from __future__ import annotations

from ..wire.command_guard import Rule

_VOLTS: tuple[str, str] = ("source_volts", "V")
_ENDS: dict[int, tuple[str, str]] = {0: _VOLTS, 1: _VOLTS}
_NO_CURRENT = "this bench sources volts and measures amperes: use on(volts, compliance=…)"
RULES_2450 = (
    Rule(":SOURce[1]:VOLTage[:LEVel][:IMMediate][:AMPLitude]", {0: _VOLTS}),
    Rule(":SOURce[1]:VOLTage:ILIMit[:LEVel]", {0: ("current", "A")}),
    Rule(":SOURce[1]:LIST:VOLTage", every=_VOLTS),
    Rule(":SOURce[1]:LIST:VOLTage:APPend", every=_VOLTS),
    Rule(":SOURce[1]:SWEep:VOLTage:LINear", _ENDS),
    Rule(":SOURce[1]:SWEep:VOLTage:LINear:STEP", _ENDS),
    Rule(":SOURce[1]:SWEep:VOLTage:LOG", _ENDS),
    Rule(":SOURce[1]:FUNCtion[:MODE]", only=("VOLTage",)),
    Rule(":SOURce[1]:CURRent:*", refusal=_NO_CURRENT),
    Rule(":SOURce[1]:LIST:CURRent:*", refusal=_NO_CURRENT),
    Rule(":SOURce[1]:SWEep:CURRent:*", refusal=_NO_CURRENT),
    Rule(":SOURce[1]:PULSe:*", refusal="a pulse may pass the limits that are checked here: use the pulse generator"),
    Rule(":SOURce[1]:VOLTage:PROTection:*", refusal="it stands a little above the limits: narrow those instead"),
    Rule(":SYSTem:PRESet", refusal="it puts back defaults that know nothing of the limits: use reset()"),
    Rule("[:SENSe[1]]:CURRent[:DC]:RSENse", only=("OFF", "0")),
    Rule("[:SENSe[1]]:VOLTage[:DC]:RSENse", only=("OFF", "0")),
    Rule("[:SENSe[1]]:RESistance:RSENse", only=("OFF", "0")),
    Rule(":SCRipt:*", refusal="what a script does cannot be checked: use the driver's methods"),
)
_LIST_BY_HAND = "a list that text begins is not counted as wear, and is left with its last level: use sweep()"
RULES_2400 = (
    Rule(":SOURce[1]:VOLTage[:LEVel][:IMMediate][:AMPLitude]", {0: _VOLTS}),
    Rule("[:SENSe[1]]:CURRent[:DC]:PROTection[:LEVel]", {0: ("current", "A")}),
    Rule(":SOURce[1]:LIST:VOLTage", every=_VOLTS),
    Rule(":SOURce[1]:LIST:VOLTage:APPend", every=_VOLTS),
    Rule(":SOURce[1]:VOLTage:MODE", only=("FIXed",), why=_LIST_BY_HAND),
    Rule(":SOURce[1]:FUNCtion[:MODE]", only=("VOLTage",)),
    Rule(":SOURce[1]:CURRent:*", refusal=_NO_CURRENT),
    Rule(":SOURce[1]:LIST:CURRent:*", refusal=_NO_CURRENT),
    Rule(":SOURce[1]:MEMory:*", refusal="what its memory holds cannot be checked: use sweep()"),
    Rule(":SOURce[1]:CLEar:AUTO", only=("OFF", "0"), why="the output would go on with every reading: use on()"),
    Rule(":SOURce[1]:VOLTage:PROTection:*", refusal="it stands a little above the limits: narrow those instead"),
    Rule("[:SENSe[1]]:VOLTage[:DC]:PROTection:*", refusal=_NO_CURRENT),
    Rule(":SYSTem:PRESet", refusal="it puts back defaults that know nothing of the limits: use reset()"),
    Rule(":SYSTem:RSENse", only=("OFF", "0")),
)

_TIMES: dict[int, tuple[str, str]] = {0: ("edge", "s")}
_SWITCHED_ON = "only pulses() knows width, count and base of what it gives: use pulses()"
_WHOLE_WAVEFORM = "it may switch an output on or pass the limits: use pulses()"
RULES_33622A = (
    Rule("[SOURce[1|2]:]VOLTage[:LEVel][:IMMediate][:AMPLitude]", {0: _VOLTS}),
    Rule("[SOURce[1|2]:]VOLTage[:LEVel][:IMMediate]:OFFSet", {0: _VOLTS}),
    Rule("[SOURce[1|2]:]VOLTage[:LEVel][:IMMediate]:HIGH", {0: _VOLTS}),
    Rule("[SOURce[1|2]:]VOLTage[:LEVel][:IMMediate]:LOW", {0: _VOLTS}),
    Rule("[SOURce[1|2]:]VOLTage:LIMit:HIGH", {0: _VOLTS}),
    Rule("[SOURce[1|2]:]VOLTage:LIMit:LOW", {0: _VOLTS}),
    Rule("[SOURce[1|2]:]VOLTage:LIMit:STATe", only=("ON", "1")),
    Rule("[SOURce[1|2]:]VOLTage:UNIT", only=("VPP",)),
    Rule("OUTPut[1|2]:LOAD", only=("INFinity",)),
    Rule("OUTPut[1|2][:STATe]", only=("OFF", "0"), why=_SWITCHED_ON),
    Rule("[SOURce[1|2]:]FUNCtion:PULSe:WIDTh", {0: ("width", "s")}),
    Rule("[SOURce[1|2]:]FUNCtion:PULSe:TRANsition[:BOTH]", _TIMES),
    Rule("[SOURce[1|2]:]FUNCtion:PULSe:TRANsition:LEADing", _TIMES),
    Rule("[SOURce[1|2]:]FUNCtion:PULSe:TRANsition:TRAiling", _TIMES),
    Rule("[SOURce[1|2]:]BURSt:NCYCles", {0: ("count", "")}),
    Rule("[SOURce[1|2]:]APPLy:*", refusal=_WHOLE_WAVEFORM),
    Rule("[SOURce[1|2]:]SUM:*", refusal=_WHOLE_WAVEFORM),
    Rule("[SOURce[1|2]:]COMBine:*", refusal=_WHOLE_WAVEFORM),
    Rule("MMEMory:LOAD:*", refusal=_WHOLE_WAVEFORM),
    Rule("SYSTem:SECurity:*", refusal="it puts back defaults that know nothing of the limits: use reset()"),
)

_UNASKED = "it ties lines together that nobody names: use connect_only() for what is meant"
_SET_UP = "paths are checked as this driver set the matrix up when it was opened: use connect_only(), or reset()"
RULES_B2201A = (
    Rule("[ROUTe:]BIAS:*", refusal=_UNASKED),
    Rule("[ROUTe:]AGND:*", refusal=_UNASKED),
    Rule("[ROUTe:]COUPle:*", refusal=_UNASKED),
    Rule("[ROUTe:]FUNCtion", only=("ACONfig",), why=_SET_UP),
    Rule("[ROUTe:]CONNection:*", refusal=_SET_UP),
)

# Besides what the rules judge. What is on no list is refused: recall, configuration lists, trigger models of blocks,
# scripts, languages, protection, calibration, power-on state.
_OF_ALL = (
    "STATus:*", "DISPlay:*", "FORMat:*", "SYSTem:BEEPer:*", "SYSTem:CLEar", "SYSTem:DATE", "SYSTem:TIME",
    "SYSTem:LOCal", "SYSTem:REMote", "SYSTem:RWLock", "ABORt", "SIMulation:CLOCk:ADVance",
)  # fmt: skip
ALLOWED_2400 = (
    *_OF_ALL,
    "OUTPut[1]:*", ":SOURce[1]:VOLTage:RANGe:*", ":SOURce[1]:DELay:*", "[:SENSe[1]]:CURRent:*",
    "[:SENSe[1]]:VOLTage:*", "[:SENSe[1]]:RESistance:*", "[:SENSe[1]]:FUNCtion:*", "[:SENSe[1]]:AVERage:*", "TRACe:*",
    "ROUTe:TERMinals", "INITiate[:IMMediate]", "TRIGger:COUNt", "TRIGger:DELay", "TRIGger:CLEar", "ARM:COUNt",
    "SYSTem:AZERo:*", "SYSTem:RCMode",
)  # fmt: skip
ALLOWED_2450 = (
    *_OF_ALL,
    "OUTPut[1]:*", ":SOURce[1]:VOLTage:RANGe:*", ":SOURce[1]:VOLTage:DELay:*", ":SOURce[1]:VOLTage:READ:BACK",
    ":SOURce[1]:VOLTage:HIGH:CAPacitance", "[:SENSe[1]]:CURRent:*", "[:SENSe[1]]:VOLTage:*", "[:SENSe[1]]:RESistance:*",
    "[:SENSe[1]]:FUNCtion:*", "[:SENSe[1]]:AZERo:*", "[:SENSe[1]]:COUNt", "[:SENSe[1]]:NPLC", "TRACe:*",
    "ROUTe:TERMinals", "INITiate:*", "TRIGger:CONTinuous", "SYSTem:ACCess", "SYSTem:EVENtlog:*",
)  # fmt: skip
ALLOWED_33622A = (
    *_OF_ALL,
    "OUTPut[1|2]:*", "[SOURce[1|2]:]VOLTage:*", "[SOURce[1|2]:]FUNCtion:*", "[SOURce[1|2]:]FREQuency:*",
    "[SOURce[1|2]:]PHASe:*", "PHASe:SYNChronize", "[SOURce[1|2]:]BURSt:*", "[SOURce[1|2]:]AM:*", "[SOURce[1|2]:]FM:*",
    "[SOURce[1|2]:]PM:*", "[SOURce[1|2]:]PWM:*", "[SOURce[1|2]:]FSKey:*", "[SOURce[1|2]:]BPSK:*",
    "[SOURce[1|2]:]SWEep:*", "[SOURce[1|2]:]MARKer:*", "[SOURce[1|2]:]LIST:*", "[SOURce[1|2]:]RATE:*",
    "[SOURce[1|2]:]DATA:*", "[SOURce[1|2]:]TRACk", "TRIGger[1|2]:*", "INITiate[1|2]:*", "ROSCillator:*", "UNIT:*",
)  # fmt: skip
ALLOWED_B2201A = (*_OF_ALL, "[ROUTe:]OPEN:*", "[ROUTe:]CLOSe:*", "[ROUTe:]SYMBol:*")
