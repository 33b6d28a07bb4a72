"""QCoDeS's station, held to the file it is handed and to silence on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qcodes.station import Station


def station_class() -> type[Station]:
    """Return the station our benches use; QCoDeS is imported now."""
    from qcodes.station import Station

    class XbarlabStation(Station):
        """Knows only the configuration it is handed: QCoDeS reloads its default file before every instrument."""

        hands_limits_over = True

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
