"""QCoDeS's station, held to the file it is handed and to silence on the wire."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...common.errors import RefusedError
from ...common.units import si_number, unit_of

if TYPE_CHECKING:
    from qcodes.instrument import Instrument
    from qcodes.station import Station

_IN_ITS_UNIT = ("initial_value", "step", "limits")


def station_class() -> type[Station]:
    """Return the station our benches use; QCoDeS is imported now."""
    from qcodes.station import Station

    class XbarlabStation(Station):
        """Knows only the configuration it is handed: QCoDeS reloads its default file before every instrument."""

        hands_limits_over = True

        def load_config(self, config: Any) -> None:
            """Take a configuration that our own reader has checked; QCoDeS's schema warns of units."""
            from qcodes.station import ValidationWarning

            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ValidationWarning)
                super().load_config(config)

        def load_instrument(
            self, identifier: str, revive_instance: bool = False, update_snapshot: bool = True, **kwargs: Any
        ) -> Instrument:
            """Open an instrument; its parameters may be given with their unit."""
            entry = self._instrument_config.get(identifier, {})
            for group in ("parameters", "add_parameters"):
                if entry.get(group):
                    entry[group] = _InTheirUnits(entry[group], identifier)
            return super().load_instrument(identifier, revive_instance, update_snapshot, **kwargs)

        def load_config_files(self, *filenames: str) -> None:
            """Keep what was loaded."""
            if filenames:
                super().load_config_files(*filenames)

        def snapshot_base(self, update: Any = False, params_to_skip_update: Any = None) -> dict[Any, Any]:
            """Ask the instruments only when told to ask for everything.

            From QCoDeS 0.59 on a stock ``Measurement`` asks for whatever has no valid value.
            """
            return super().snapshot_base(update in (True, "All"), params_to_skip_update)

    return XbarlabStation


class _InTheirUnits(dict[str, Any]):
    """Parameters of an instrument as a file has them.

    QCoDeS goes over them when the instrument is open: only then is it known what each is in.
    """

    def __init__(self, entries: Mapping[str, Any], instrument: str) -> None:
        super().__init__(entries)
        self._instrument = instrument

    def items(self) -> Any:
        """Return name and options, text with a unit read as a number."""
        return [(name, self._read(name, options)) for name, options in super().items()]

    def _read(self, name: str, options: dict[str, Any]) -> dict[str, Any]:
        from qcodes.instrument import Instrument

        here: Any = Instrument.find_instrument(self._instrument)
        for part in str(options.get("source", name)).split("."):
            here = getattr(here, part, None)
        unit = unit_of(f"[{options.get('unit') or getattr(here, 'unit', '')}]")
        read = dict(options)
        for key in _IN_ITS_UNIT if unit else ():
            try:
                if key in options and not _is_word(here, options[key]):
                    read[key] = si_number(options[key], unit)
            except RefusedError as error:
                raise ValueError(f"parameters: {name}.{key}: {error}") from error
        return read


def _is_word(parameter: Any, value: object) -> bool:
    """Whether a parameter takes this text as it is, as ``AUTO`` of a range."""
    try:
        parameter.validate(value)
    except (TypeError, ValueError, AttributeError):
        return False
    return isinstance(value, str)
