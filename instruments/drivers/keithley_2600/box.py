"""Keithley 2600B: two source-measure units in one box; both SMUs of a probe station at once.

Written from memory of the Series 2600B Reference Manual (2600BS-901-01) and from QCoDeS's driver; what was not looked
up is listed in ``docs/probe-station.md``. The box owns the connection; its channels have the role (``PARTS``).
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any, ClassVar, Never

from qcodes.instrument_drivers.Keithley._Keithley_2600 import Keithley2600

from ....common.errors import RefusedError
from ...limits import Limits
from ...wire.doors import GuardedInstrument
from ...wire.parts import Wire
from ..box_part import GuardedBox
from ..carried_limits import ChipLimits, carried
from ..source_limits import SourceLimits
from .tsp_guard import TspGuard
from .tsp_line import TspBinding, TspLine
from .unit import Keithley2600Smu

CHANNELS = ("smua", "smub")
MODELS = ("2602B", "2612B", "2634B", "2636B")
_BOTH = " ".join


class Keithley2600Box(GuardedBox, Keithley2600):
    """QCoDeS's Keithley 2600 with limits on each of its channels."""

    PARTS: ClassVar[Mapping[str, type]] = dict.fromkeys(CHANNELS, Keithley2600Smu)
    """What can have a role in a station, by name: ``row_smu: box.smua``."""

    _to_defaults = "*CLS\n*RST"  # a common command has a line of its own
    _tells_simulator_apart = True
    units: tuple[Keithley2600Smu, ...] = ()

    def __init__(
        self,
        name: str,
        address: str | None = None,
        *,
        chip: ChipLimits | str | PathLike[str] | None = None,
        limits: Limits | Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        self._hold(
            Wire(
                name,
                binding=TspBinding(),
                line=TspLine,
                # A script that was cut off while it was loaded would take what follows: an empty one ends it.
                going_idle=(
                    ("stop", "abort\nloadscript\nendscript"),
                    ("0 V", _BOTH(f"{one}.source.levelv=0" for one in CHANNELS)),
                    ("output off", _BOTH(f"{one}.source.output=0" for one in CHANNELS)),
                ),
                safe_when=("print(string.format('%d%d',smua.source.output,smub.source.output))", "00"),
                hangup_effect="what it drives stays: switch its outputs off by hand",
                clears=True,
            )
        )
        allowed = carried(name, chip, limits)
        bounds = {one: SourceLimits(f"{name}.{one}", (), allowed, allowed=()) for one in CHANNELS}
        self.guard = self._text = TspGuard({one: lambda one=one: bounds[one].as_text for one in CHANNELS})
        with self._opening():
            super().__init__(name, address, **kwargs)  # pyright: ignore[reportArgumentType]
            self._take_channels(bounds)
            self._prepare()

    def _take_channels(self, bounds: Mapping[str, SourceLimits]) -> None:
        """Put our units in the place of QCoDeS's channels."""
        units: list[Keithley2600Smu] = []
        for one in CHANNELS:
            self.submodules.pop(one)
            self.instrument_modules.pop(one, None)
            unit = Keithley2600Smu(self, one, bounds[one], units=lambda: self.units)
            self.add_submodule(one, unit)
            units.append(unit)
        self.units = tuple(units)
        self.channels = list(units)

    def _is_ours(self, maker: str, model: str) -> bool:
        return "keithley" in maker.lower() and model.rsplit(" ", maxsplit=1)[-1] in MODELS

    def _wanted(self) -> str:
        return f"a {', '.join(MODELS[:-1])} or {MODELS[-1]}"

    def _prepare(self) -> None:
        for unit in self.units:
            unit.prepare()

    # -- what its channels are told ----------------------------------------------------------------------------------

    @property
    def sources(self) -> tuple[Keithley2600Smu, ...]:
        """Its source-measure units."""
        return self.units

    def _heard_by_hand(self, cmd: str) -> None:
        if "=" in cmd and cmd.strip().startswith(CHANNELS):
            channel, name, value = self._text.setting(cmd)
            for unit in self.units:
                if unit.channel == channel:
                    unit.heard(name, value)

    # -- QCoDeS's doors ----------------------------------------------------------------------------------------------

    def write_raw(self, cmd: str) -> None:
        """Send one setting, or one harmless call."""
        self._text.check(cmd)
        with self.wire.lock:
            if self._rehearsing:
                return
            self._heard_by_hand(cmd)
            self.wire.exchange.act(cmd.strip())

    def ask(self, cmd: str) -> str:
        """Ask for attributes or readings, separated by commas; QCoDeS prints them."""
        self._text.check_question(cmd)
        with self.wire.lock:
            return self.wire.exchange.query(f"print({cmd})")

    def ask_raw(self, cmd: str) -> str:
        """Ask by ``print(…)``, or by a common question."""
        self._text.check_question(cmd)
        if not cmd.startswith(("print(", "*")):
            raise RefusedError(f"{cmd!r} prints nothing: use ask, which puts print() around it")
        with self.wire.lock:
            return self.wire.exchange.query(cmd)

    # -- setting it up again -----------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Put back the defaults, 0 V and off first, and the limits and settings of this driver on top."""
        GuardedInstrument.reset(self)

    def _display_settext(self, text: str) -> None:
        self.write(f'display.settext("{text}")')

    def display_clear(self) -> None:
        """Clear the display; it stays in user mode."""
        self.write("display.clear()")

    def display_normal(self) -> None:
        """Show both channels."""
        self.write("display.screen = display.SMUA_SMUB")

    def exit_key(self) -> Never:
        """Refuse: a key that is pressed from afar does what the panel happens to ask."""
        raise RefusedError(f"{self.name}.exit_key presses a key on its panel, which cannot be checked: use idle()")
