"""Status reporting of IEEE 488.2 (chapter 11) and SCPI-99 (volume 1, chapter 9)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from .arguments import Integer
from .errors import ErrorQueue, event_bit
from .tree import Command

OPERATION_COMPLETE: Final = 1
POWER_ON: Final = 128

ERRORS, QUESTIONABLE, MESSAGE, EVENTS, SERVICE, OPERATION = 4, 8, 16, 32, 64, 128


@dataclass(slots=True)
class StatusRegister:
    """A condition register and what hangs on it: an event register that latches, and an enable mask."""

    condition: int = 0
    event: int = 0
    enable: int = 0

    def set(self, bits: int) -> None:
        """Raise condition bits; those that rise are latched as events."""
        self.event |= bits & ~self.condition
        self.condition |= bits

    def clear(self, bits: int) -> None:
        """Lower condition bits."""
        self.condition &= ~bits

    def latch(self, bits: int) -> None:
        """Record an event that has no lasting condition."""
        self.event |= bits

    def read_event(self) -> int:
        """Return the event register and clear it."""
        event, self.event = self.event, 0
        return event

    @property
    def summary(self) -> bool:
        """Whether an enabled event is set."""
        return bool(self.event & self.enable)

    def commands(self, name: str) -> tuple[Command, ...]:
        """Return the commands of the register under ``STATus:<name>``."""
        root = f"STATus:{name}"
        return (
            Command(f"{root}[:EVENt]?", lambda: str(self.read_event())),
            Command(f"{root}:CONDition?", lambda: str(self.condition)),
            Command(f"{root}:ENABle", self._set_enable, (Integer("mask", low=0, high=65535),)),
            Command(f"{root}:ENABle?", lambda: str(self.enable)),
        )

    def _set_enable(self, mask: int) -> None:
        self.enable = mask & 0x7FFF


@dataclass(slots=True)
class StatusModel:
    """Error queue, event status register and the two SCPI registers of one instrument."""

    errors: ErrorQueue = field(default_factory=ErrorQueue)
    event: int = POWER_ON
    event_enable: int = 0
    service_enable: int = 0
    power_on_clear: bool = True
    """Whether masks are forgotten when the power goes."""
    operation: StatusRegister = field(default_factory=StatusRegister)
    questionable: StatusRegister = field(default_factory=StatusRegister)

    def error(self, code: int, detail: str = "") -> None:
        """Put an error into the queue and set its event bit."""
        self.event |= event_bit(code)
        self.errors.push(code, detail)

    def byte(self, *, message: bool) -> int:
        """Return the status byte; ``message`` says whether a reply is waiting."""
        value = (
            (ERRORS if len(self.errors) else 0)
            | (QUESTIONABLE if self.questionable.summary else 0)
            | (MESSAGE if message else 0)
            | (EVENTS if self.event & self.event_enable else 0)
            | (OPERATION if self.operation.summary else 0)
        )
        return value | SERVICE if value & self.service_enable & ~SERVICE else value

    def clear(self) -> None:
        """``*CLS``: empty the queue and every event register; masks stay."""
        self.errors.clear()
        self.event = 0
        self.operation.event = 0
        self.questionable.event = 0

    def preset(self) -> None:
        """``STATus:PRESet``: masks of the SCPI registers to zero."""
        self.operation.enable = 0
        self.questionable.enable = 0

    def read_event(self) -> int:
        """``*ESR?``: return the event status register and clear it."""
        event, self.event = self.event, 0
        return event

    def commands(self) -> tuple[Command, ...]:
        """Return the commands that touch nothing but status."""
        mask = (Integer("mask", low=0, high=255),)
        return (
            Command("*CLS", self.clear),
            Command("*ESE", self._set_event_enable, mask),
            Command("*ESE?", lambda: str(self.event_enable)),
            Command("*ESR?", lambda: str(self.read_event())),
            Command("*PSC", self._set_power_on_clear, (Integer("flag", low=-32767, high=32767),)),
            Command("*PSC?", lambda: "1" if self.power_on_clear else "0"),
            Command("*SRE", self._set_service_enable, mask),
            Command("*SRE?", lambda: str(self.service_enable)),
            Command("SYSTem:ERRor[:NEXT]?", self.errors.pop),
            Command("SYSTem:ERRor:COUNt?", lambda: str(len(self.errors))),
            Command("SYSTem:ERRor:ALL?", self.errors.pop_all),
            Command("SYSTem:VERSion?", lambda: "1999.0"),
            Command("STATus:PRESet", self.preset),
            *self.operation.commands("OPERation"),
            *self.questionable.commands("QUEStionable"),
        )

    def _set_event_enable(self, mask: int) -> None:
        self.event_enable = mask

    def _set_power_on_clear(self, flag: int) -> None:
        self.power_on_clear = flag != 0

    def power_on(self) -> None:
        """Be as after power-on."""
        self.errors.clear()
        self.event = POWER_ON
        for register in (self.operation, self.questionable):
            register.event = register.enable = 0
        if self.power_on_clear:
            self.event_enable = self.service_enable = 0

    def _set_service_enable(self, mask: int) -> None:
        self.service_enable = mask & ~SERVICE
