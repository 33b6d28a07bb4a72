"""Why an instrument could not be opened: its entry, or nothing of this make; and what goes wrong on the way out."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from typing import Any

from ...common.errors import XbarlabError, unknown
from ..errors import ConnectionLostError, InstrumentError
from .instrument_types import known_arguments

log = logging.getLogger(__name__)


def failed_at_opening(name: str, settings: Mapping[str, Any], make: Any, error: Exception) -> XbarlabError | None:
    """Return what to say of a driver that failed while it was opened; None where it is one of ours, and a defect.

    A driver of somebody else's says in its own words what it does not find: that the wrong instrument is at the
    address, or none.
    """
    from pyvisa.errors import Error as VisaError

    driver = f"{getattr(make, '__name__', make)} ({getattr(make, '__module__', '?')})"
    address = settings.get("address") or settings["init"].get("address")
    there = f" at {address}" if address else ""
    if isinstance(error, VisaError | OSError):
        return ConnectionLostError(
            f"{name}{there} did not answer the driver {driver}: {error}: check that the instrument is on, that it is "
            "one of this make, its address and port, and that no other program holds it"
        )
    if getattr(make, "__module__", "").partition(".")[0] == __name__.partition(".")[0]:
        return None
    return InstrumentError(
        f"{name}{there} could not be opened by the driver {driver}: {type(error).__name__}: {error}: check that the "
        "instrument there is one of this make"
    )


def bad_entry(name: str, settings: Mapping[str, Any], make: Any, error: Exception) -> str | None:
    """Return what in the file of instrument ``name`` made QCoDeS fail, None if nothing did."""
    from qcodes.instrument import Instrument

    if not isinstance(error, TypeError | ValueError | AttributeError | LookupError | RuntimeError):
        return None
    mistyped = [key for key in settings["init"] if key not in known_arguments(make)]
    if isinstance(error, TypeError) and mistyped and inspect.isclass(make):
        return f"init: {unknown('argument', mistyped[0], known_arguments(make))}"
    if Instrument.exist(name):
        known = Instrument.find_instrument(name).parameters
        for key in settings.get("parameters") or {}:
            if key not in known and "." not in key:
                return f"parameters: {unknown('parameter', key, known)}"
            if "." in key and not isinstance(error, TypeError | ValueError):
                return f"parameters: {key} cannot be found: {error}"
    if isinstance(error, TypeError | ValueError) or settings.get("parameters") or settings.get("add_parameters"):
        return str(error.args[0] if error.args else error)
    return None


class logged:  # noqa: N801 - used like a function
    """Let nothing that goes wrong on the way out hide why we are leaving."""

    def __init__(self, doing: str) -> None:
        self._doing = doing

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> bool:
        if isinstance(error, Exception):
            log.warning("%s: %s", self._doing, error)
            return True
        return False
