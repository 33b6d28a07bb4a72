"""What a script loads as ``wgfmu``: the functions of the vendor's library, on the B1530A of one mock bench.

Not built: self-calibration and self-test, ASCII export, lists of events, log files (opened and left empty).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .codes import (
    ABORT_COMPLETED,
    AMPS_FIRST,
    AMPS_LAST,
    COMMUNICATION,
    COMPLETED,
    CONTEXT,
    DONE,
    FORCE_LIMITS,
    IDLE,
    MEASURE_CURRENT,
    MEASURE_OFF,
    MEASURE_ON,
    MEASURE_VOLTAGE,
    MODE_DC,
    MODE_PG,
    MODE_SMU,
    NO_CHANNEL,
    NOT_RUNNING,
    OUT_OF_RANGE,
    RUNNING,
    VOLTS_5,
    VOLTS_10,
    WgfmuError,
)
from .setup_calls import Pointer, SetupCalls, returns_code, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from ...sim_clock import SimClock
    from .module import Channel, WgfmuModule

_DELAY_MAX = 50e-9


class Simulation:
    """What a simulator says of itself, beside the library: its clock, and who is behind it."""

    def __init__(self, clock: SimClock, told: Callable[[], dict[str, object]], serial: str) -> None:
        self._clock, self._told, self.serial = clock, told, serial

    def simulated_seconds(self) -> float:
        """Return the simulated time [s]."""
        return self._clock.now

    def advance_simulation(self, seconds: float) -> None:
        """Let simulated time pass [s]."""
        self._clock.advance(seconds)

    def info(self) -> dict[str, object]:
        """Return what is known of the chip."""
        return self._told()


class Wgfmu(SetupCalls):
    """The library.

    Parameters
    ----------
    module : WgfmuModule
    address : str
        VISA resource name of the mainframe.
    simulation : Simulation
    """

    name = "wgfmu"

    def __init__(self, module: WgfmuModule, address: str, simulation: Simulation) -> None:
        super().__init__()
        self.module, self.address, self.simulation = module, address, simulation
        self.is_open = False
        self.clients = 0
        self.released: Callable[[], None] | None = None

    @property
    def held(self) -> list[Wgfmu]:
        """What clients hold while they are there."""
        return [self]

    # --- session ------------------------------------------------------------------------------

    @returns_code
    def WGFMU_openSession(self, address: bytes) -> None:
        """Open the mainframe at an address."""
        wanted = text_of(address)
        if wanted.upper() != self.address.upper():
            raise WgfmuError(COMMUNICATION, f"nothing answers at {wanted}")
        if self.is_open:
            raise WgfmuError(CONTEXT, "a session is open")
        self.is_open, self.clients = True, 1

    @returns_code
    def WGFMU_closeSession(self) -> None:
        """Close it; what channels are at stays."""
        self._session()
        self.is_open, self.clients = False, 0
        if self.released is not None:
            self.released()

    @returns_code
    def WGFMU_initialize(self) -> None:
        """Reset all channels."""
        self._session().reset()

    @returns_code
    def WGFMU_setTimeout(self, timeout: float) -> None:
        """Take a time-out [s]."""
        if not timeout >= 1.0:
            raise WgfmuError(OUT_OF_RANGE, f"a time-out of {timeout:g} s")

    @returns_code
    def WGFMU_getChannelIdSize(self, size: Pointer) -> None:
        """Tell how many channels there are."""
        size[0] = len(self._session().channels)

    @returns_code
    def WGFMU_getChannelIds(self, channel_ids: Pointer, size: Pointer) -> None:
        """Tell the channels there are."""
        found = list(self._session().channels)[: int(size[0])]
        for at, number in enumerate(found):
            channel_ids[at] = number
        size[0] = len(found)

    @returns_code
    def WGFMU_treatWarningsAsErrors(self, warning_level: int) -> None:
        """Take a level of warnings: none are given here."""
        if not 1000 <= warning_level <= 1003:
            raise WgfmuError(OUT_OF_RANGE, f"warning level {warning_level}")

    @returns_code
    def WGFMU_openLogFile(self, file_name: bytes) -> None:
        """Take the name of a log."""
        text_of(file_name)

    @returns_code
    def WGFMU_closeLogFile(self) -> None:
        """Do nothing."""

    # --- settings of channels -----------------------------------------------------------------

    @returns_code
    def WGFMU_setOperationMode(self, channel_id: int, operation_mode: int) -> None:
        """DC, Fast IV, PG or SMU."""
        self._put(channel_id, "mode", operation_mode, range(MODE_DC, MODE_SMU + 1))

    @returns_code
    def WGFMU_getOperationMode(self, channel_id: int, operation_mode: Pointer) -> None:
        """Tell the mode."""
        operation_mode[0] = self._channel(channel_id).mode

    @returns_code
    def WGFMU_setForceVoltageRange(self, channel_id: int, force_voltage_range: int) -> None:
        """Set the output range."""
        self._put(channel_id, "force", force_voltage_range, FORCE_LIMITS)

    @returns_code
    def WGFMU_getForceVoltageRange(self, channel_id: int, force_voltage_range: Pointer) -> None:
        """Tell the output range."""
        force_voltage_range[0] = self._channel(channel_id).force

    @returns_code
    def WGFMU_setMeasureMode(self, channel_id: int, measure_mode: int) -> None:
        """Volts, or amperes, which the PG mode has not."""
        if measure_mode == MEASURE_CURRENT and self._channel(channel_id).mode == MODE_PG:
            raise WgfmuError(CONTEXT, f"channel {channel_id} measures no current in the PG mode")
        self._put(channel_id, "measure", measure_mode, (MEASURE_VOLTAGE, MEASURE_CURRENT))

    @returns_code
    def WGFMU_setMeasureVoltageRange(self, channel_id: int, measure_voltage_range: int) -> None:
        """Set the range of volts."""
        self._put(channel_id, "volts_range", measure_voltage_range, (VOLTS_5, VOLTS_10))

    @returns_code
    def WGFMU_setMeasureCurrentRange(self, channel_id: int, measure_current_range: int) -> None:
        """Set the range of amperes."""
        self._put(channel_id, "amps_range", measure_current_range, range(AMPS_FIRST, AMPS_LAST + 1))

    @returns_code
    def WGFMU_getMeasureCurrentRange(self, channel_id: int, measure_current_range: Pointer) -> None:
        """Tell the range of amperes."""
        measure_current_range[0] = self._channel(channel_id).amps_range

    @returns_code
    def WGFMU_setForceDelay(self, channel_id: int, force_delay: float) -> None:
        """Set the skew of the output: kept, no cable here has one."""
        self._delay(channel_id, "force_delay", force_delay)

    @returns_code
    def WGFMU_setMeasureDelay(self, channel_id: int, measure_delay: float) -> None:
        """Set the skew of the measurement: kept, no cable here has one."""
        self._delay(channel_id, "measure_delay", measure_delay)

    @returns_code
    def WGFMU_setMeasureEnabled(self, channel_id: int, measure_enabled: int) -> None:
        """Let a channel measure, or not."""
        self._put(channel_id, "measures", measure_enabled, (MEASURE_OFF, MEASURE_ON))

    @returns_code
    def WGFMU_connect(self, channel_id: int) -> None:
        """Connect an RSU."""
        self._channel(channel_id)
        self.module.connect(channel_id)

    @returns_code
    def WGFMU_disconnect(self, channel_id: int) -> None:
        """Disconnect it."""
        self._channel(channel_id)
        self.module.disconnect(channel_id)

    # --- running it ---------------------------------------------------------------------------

    @returns_code
    def WGFMU_update(self) -> None:
        """Take settings over: they hold at once here."""
        self._session()

    @returns_code
    def WGFMU_updateChannel(self, channel_id: int) -> None:
        """Take settings of a channel over: they hold at once here."""
        self._channel(channel_id)

    @returns_code
    def WGFMU_execute(self) -> None:
        """Run the sequences."""
        self._session().execute(self.setup.sequences)

    @returns_code
    def WGFMU_abort(self) -> None:
        """Stop; channels keep the level they are at."""
        self._session().stop()

    @returns_code
    def WGFMU_abortChannel(self, channel_id: int) -> None:
        """Stop; here both channels are in one run."""
        self._channel(channel_id)
        self.module.stop()

    @returns_code
    def WGFMU_getStatus(self, status: Pointer, elapsed_time: Pointer, total_time: Pointer) -> None:
        """Tell how far it is."""
        module = self._session()
        status[0] = self._status()
        elapsed_time[0], total_time[0] = module.elapsed, module.total

    @returns_code
    def WGFMU_getChannelStatus(
        self, channel_id: int, status: Pointer, elapsed_time: Pointer, total_time: Pointer
    ) -> None:
        """Tell how far a channel is: here both end at once."""
        self._channel(channel_id)
        status[0] = DONE if self._status() == COMPLETED else self._status()
        elapsed_time[0], total_time[0] = self.module.elapsed, self.module.total

    @returns_code
    def WGFMU_waitUntilCompleted(self) -> None:
        """Wait for the end."""
        module = self._session()
        if not module.executed:
            raise WgfmuError(NOT_RUNNING, "nothing was executed")
        while module.run is not None:
            module.clock.advance(max(module.run.next_event - module.clock.now, 0.0) or 1e-9)

    def _status(self) -> int:
        module = self.module
        if module.running:
            return RUNNING
        if not module.executed:
            return IDLE
        return ABORT_COMPLETED if module.aborted else COMPLETED

    # --- results ------------------------------------------------------------------------------

    @returns_code
    def WGFMU_getMeasureValueSize(self, channel_id: int, measured_size: Pointer, total_size: Pointer) -> None:
        """Tell how many values there are, and will be."""
        channel = self._channel(channel_id)
        measured_size[0], total_size[0] = len(channel.values), channel.total

    @returns_code
    def WGFMU_getMeasureValues(
        self, channel_id: int, offset: int, size: Pointer, measure_times: Pointer, measure_values: Pointer
    ) -> None:
        """Tell times and values from one on."""
        values = self._channel(channel_id).values
        if not 0 <= offset <= len(values):
            raise WgfmuError(OUT_OF_RANGE, f"value {offset} of {len(values)}")
        found = values[offset : offset + int(size[0])]
        for at, (time, value) in enumerate(found):
            measure_times[at], measure_values[at] = time, value
        size[0] = len(found)

    @returns_code
    def WGFMU_getMeasureValue(self, channel_id: int, index: int, measure_time: Pointer, measure_value: Pointer) -> None:
        """Tell one value."""
        values = self._channel(channel_id).values
        if not 0 <= index < len(values):
            raise WgfmuError(OUT_OF_RANGE, f"value {index} of {len(values)}")
        measure_time[0], measure_value[0] = values[index]

    # --- direct current -----------------------------------------------------------------------

    @returns_code
    def WGFMU_dcforceVoltage(self, channel_id: int, voltage: float) -> None:
        """Put a channel at a level."""
        self._channel(channel_id)
        self.module.force(channel_id, voltage)

    @returns_code
    def WGFMU_dcmeasureValue(self, channel_id: int, value: Pointer) -> None:
        """Measure at once."""
        self._channel(channel_id)
        value[0] = self.module.measure_now(channel_id)

    # --- parts --------------------------------------------------------------------------------

    def _session(self) -> WgfmuModule:
        if not self.is_open:
            raise WgfmuError(CONTEXT, "no session is open")
        return self.module

    def _channel(self, channel_id: int) -> Channel:
        module = self._session()
        if channel_id not in module.channels:
            raise WgfmuError(NO_CHANNEL, f"there is no channel {channel_id}: {', '.join(map(str, module.channels))}")
        return module.channels[channel_id]

    def _put(self, channel_id: int, name: str, value: int, known: Container[int]) -> None:
        channel = self._channel(channel_id)
        if value not in known:
            raise WgfmuError(OUT_OF_RANGE, f"{name} {value}")
        setattr(channel, name, int(value))

    def _delay(self, channel_id: int, name: str, seconds: float) -> None:
        channel = self._channel(channel_id)
        if not abs(seconds) <= _DELAY_MAX:
            raise WgfmuError(OUT_OF_RANGE, f"a delay of {seconds:g} s")
        setattr(channel, name, seconds)
