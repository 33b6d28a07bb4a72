"""Keysight B1500A: QCoDeS's driver with limits on each of its SMUs, which have the roles (``PARTS``).

Commands are those of QCoDeS's driver, which carries much of the programming guide, and from memory; which,
``docs/keysight-b1500a.md`` says. Its WGFMU is driven by its maker's library (``keysight_b1530/``).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from os import PathLike
from typing import Any, ClassVar, cast

from qcodes.instrument_drivers.Keysight import KeysightB1500
from qcodes.instrument_drivers.Keysight.keysightb1500 import constants
from qcodes.instrument_drivers.Keysight.keysightb1500.KeysightB1500_module import parse_module_query_response

from ....common.errors import RefusedError
from ...errors import InstrumentError
from ...limits import Limits
from ...wire.binding import IdentityBinding
from ...wire.parts import Wire
from ..box_part import GuardedBox
from ..carried_limits import ChipLimits, carried
from ..source_limits import SourceLimits
from .flex_line import FlexLine
from .guard import FlexGuard
from .smu import KeysightB1500Smu, Mainframe

_LOG = logging.getLogger(__name__)

SMUS = ("smu1", "smu2")
MODELS = ("B1510A", "B1511A", "B1511B", "B1517A")
"""Modules that are taken as SMUs."""


class KeysightB1500Box(GuardedBox, KeysightB1500):
    """QCoDeS's B1500A. The first two SMUs, by slot, are ``smu1`` and ``smu2``; further ones are switched off with them.

    Parameters
    ----------
    name, address
    chip, limits
        Narrow what may be applied.
    """

    PARTS: ClassVar[Mapping[str, type]] = dict.fromkeys(SMUS, KeysightB1500Smu)
    """What can have a role in a station, by name: ``row_smu: box.smu1``."""

    default_terminator = "\n"
    _model = "B1500A"
    _to_defaults = "*RST"
    _tells_simulator_apart = True
    _smus: tuple[KeysightB1500Smu, ...] = ()

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
                binding=IdentityBinding(),
                line=FlexLine,  # pyright: ignore[reportArgumentType]
                going_idle=(("stop", "AB"), ("0 V", "DZ"), ("output off", "CL")),
                safe_when=("*LRN? 0", "CL"),
                hangup_effect="what it drives stays: press Stop on it, or switch it off",
                clears=True,
            )
        )
        self._allowed, self._mainframe = carried(name, chip, limits), Mainframe()
        self.guard = self._text = FlexGuard({})
        with self._opening():
            super().__init__(name, cast("Any", address), **kwargs)
            self._smus = tuple(self._mainframe.units.values())
            if len(self._smus) < len(SMUS):
                raise InstrumentError(
                    f"{name} at {self.place} has {len(self._smus)} SMUs of {', '.join(MODELS)} (UNT? 0); two are needed"
                )
            self.guard = self._text = FlexGuard(
                {unit.number: lambda unit=unit: unit.bounds.as_text for unit in self._smus}
            )
            self._prepare()

    @property
    def sources(self) -> tuple[KeysightB1500Smu, ...]:
        """Its source-measure units."""
        return self._smus

    # -- opening -----------------------------------------------------------------------------------------------------

    def make_safe(self) -> None:
        """0 V and off, then the documented defaults; errors of whoever used it last are forgotten."""
        for _, command in self.wire.safe_exit.steps:
            self.wire.exchange.tell(command)
        self.drain_errors()
        self.wire.exchange.act(self._to_defaults)
        self._is_made_safe()

    def _find_modules(self) -> None:
        """Make our units of its SMUs, QCoDeS's of modules it knows; others are left alone."""
        for slot, model in parse_module_query_response(self.ask("UNT? 0")).items():
            module: Any = None
            if model in MODELS:
                name = f"smu{len(self._mainframe.units) + 1}"
                bounds = SourceLimits(f"{self.name}.{name}", (), self._allowed, allowed=())
                module = KeysightB1500Smu(self, name, int(slot), bounds, self._mainframe)
            else:
                with suppress(NotImplementedError):
                    module = self.from_model_name(model, slot, self)
            if module is None:
                _LOG.info("%s: module %s in slot %d is left alone", self.name, model, slot)
            else:
                self.add_module(name=module.short_name, module=module)

    def _prepare(self) -> None:
        for unit in self._smus:
            unit.prepare()

    # -- QCoDeS's doors ----------------------------------------------------------------------------------------------

    def write(self, cmd: str) -> None:
        """Write a command, checked against the limits and answered for by the error queue."""
        self.write_raw(cmd)

    def write_raw(self, cmd: str) -> None:
        """Send one command that is not answered."""
        self._text.check(cmd)
        if self._text.asks(cmd):
            raise RefusedError(f"{cmd!r} asks something: use ask, or its reply is taken for the next one's")
        with self.wire.lock:
            if self._rehearsing:
                return
            self._heard_by_hand(cmd)
            self.wire.exchange.act(cmd.strip())

    def ask_raw(self, cmd: str) -> str:
        """Ask one question."""
        self._text.check(cmd)
        if not self._text.asks(cmd):
            raise RefusedError(f"{cmd!r} asks nothing: use write, or the reply is waited for in vain")
        with self.wire.lock:
            return self.wire.exchange.query(cmd.strip())

    def _heard_by_hand(self, cmd: str) -> None:
        switched = self._text.switch(cmd)
        if switched is not None:
            for unit in self._smus:
                if unit.number in switched[1]:
                    unit.switched(cast("Any", switched[0]))
        elif cmd.strip().upper().startswith("DV"):
            channel, volts, amps = self._text.force(cmd)
            self._mainframe.units[channel].heard(volts, amps)

    # -- setting it up again -----------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Put back the defaults, 0 V and off first, and the limits and settings of this driver on top."""
        GuardedBox.reset(self)

    def self_calibration(self, slot: constants.SlotNr | int | None = None) -> Any:
        """Refuse: it wants open terminals, and takes half a minute; do it at the front panel."""
        raise RefusedError(f"{self.name}.self_calibration: do it at the front panel, with open terminals")

    def get_idn(self) -> dict[str, str | None]:
        """Return the identity as QCoDeS shows it."""
        return GuardedBox.get_idn(self)
