"""A PyVISA backend whose resources are the simulated instruments of a bench file: ``visalib="bench.yaml@xbarlab"``."""

from __future__ import annotations

import re
from itertools import count
from typing import Any, Final, cast

from pyvisa import attributes, constants, highlevel, rname
from pyvisa.constants import StatusCode
from pyvisa.typing import VISAEventContext, VISARMSession, VISASession
from pyvisa.util import LibraryPath

from ..bench.bench import bench_for
from .visa_session import InstrumentSession

_SUCCESS: Final = StatusCode.success


class XbarlabVisaLibrary(highlevel.VisaLibraryBase):
    """The VISA operations message-based drivers need, straight into simulated instruments.

    The library path is the bench file. Time-outs are in simulated time: nothing sleeps.
    """

    @staticmethod
    def get_library_paths() -> tuple[LibraryPath, ...]:
        """Return a path for lists; a bench file must be named to open anything."""
        return (LibraryPath("unset"),)

    @staticmethod
    def get_debug_info() -> dict[str, str]:
        """Return what ``pyvisa-info`` prints."""
        return {"Usage": 'ResourceManager("path/to/bench.yaml@xbarlab")'}

    def _init(self) -> None:
        self._sessions: dict[int, InstrumentSession] = {}
        self._managers: set[int] = set()
        self._handles = count(1)

    # --- sessions -----------------------------------------------------------------------------

    def open_default_resource_manager(self) -> tuple[VISARMSession, StatusCode]:
        """Open the bench file and return a manager session."""
        bench_for(str(self.library_path.path))
        handle = VISARMSession(next(self._handles))
        self._managers.add(handle)
        return handle, self._done(handle, _SUCCESS)

    def open(
        self,
        session: VISARMSession,
        resource_name: str,
        access_mode: constants.AccessModes = constants.AccessModes.no_lock,
        open_timeout: int | None = constants.VI_TMO_IMMEDIATE,
    ) -> tuple[VISASession, StatusCode]:
        """Open a session to the instrument at ``resource_name``."""
        try:
            parsed = rname.parse_resource_name(resource_name)
        except rname.InvalidResourceName:
            return VISASession(0), self.handle_return_value(None, StatusCode.error_invalid_resource_name)
        # The bench is looked up anew at each opening: it may have been built afresh since.
        instrument = bench_for(str(self.library_path.path)).instruments.get(str(parsed))
        if instrument is None:
            return VISASession(0), self.handle_return_value(None, StatusCode.error_resource_not_found)
        if not instrument.connect(stream=parsed.resource_class == "SOCKET"):
            return VISASession(0), self.handle_return_value(None, StatusCode.error_resource_busy)
        handle = VISASession(next(self._handles))
        self._sessions[handle] = InstrumentSession(instrument, parsed)
        return handle, self._done(handle, _SUCCESS)

    def close(self, session: VISASession | VISAEventContext | VISARMSession) -> StatusCode:
        """Close a session, or the manager."""
        found = self._sessions.pop(session, None)
        if found is not None:
            found.close()
        elif session in self._managers:
            self._managers.discard(session)
        else:
            return self.handle_return_value(None, StatusCode.error_invalid_object)
        self._last_status_in_session.pop(session, None)
        return _SUCCESS

    def list_resources(self, session: VISARMSession, query: str = "?*::INSTR") -> tuple[str, ...]:
        """Return the addresses of the bench that match a VISA expression."""
        pattern = re.compile(query.replace("?", ".") + r"\Z", re.IGNORECASE)
        return tuple(a for a in bench_for(str(self.library_path.path)).instruments if pattern.match(a))

    # --- data ---------------------------------------------------------------------------------

    def write(self, session: VISASession, data: bytes) -> tuple[int, StatusCode]:
        """Send ``data``."""
        try:
            found = self._sessions[session]
        except KeyError:
            return 0, self.handle_return_value(session, StatusCode.error_invalid_object)
        return len(data), self._done(session, found.write(data))

    def read(self, session: VISASession, count: int) -> tuple[bytes, StatusCode]:
        """Return at most ``count`` bytes."""
        try:
            found = self._sessions[session]
        except KeyError:
            return b"", self.handle_return_value(session, StatusCode.error_invalid_object)
        data, status = found.read(count)
        return data, self._done(session, status)

    def clear(self, session: VISASession) -> StatusCode:
        """Device clear."""
        return self._done(session, self._find(session).clear())

    def flush(self, session: VISASession, mask: constants.BufferOperation) -> StatusCode:
        """Empty the receive buffer; nothing is ever kept back for writing."""
        self._find(session).discard()
        return self._done(session, _SUCCESS)

    def read_stb(self, session: VISASession) -> tuple[int, StatusCode]:
        """Serial poll."""
        value, status = self._find(session).read_status_byte()
        return value, self._done(session, status)

    # --- attributes, locks and events ---------------------------------------------------------

    def get_attribute(
        self,
        session: VISASession | VISAEventContext | VISARMSession,
        attribute: constants.ResourceAttribute | constants.EventAttribute,
    ) -> tuple[Any, StatusCode]:
        """Return the state of an attribute."""
        found = self._sessions.get(session)
        if found is None:
            known = attributes.AttributesByID.get(attribute)
            default = 0 if known is None or known.default in ("N/A", NotImplemented) else known.default
            return default, self._done(cast("VISASession", session), _SUCCESS)
        state, status = found.get_attribute(attribute)
        return state, self._done(cast("VISASession", session), status)

    def set_attribute(
        self,
        session: VISASession,
        attribute: constants.ResourceAttribute,
        attribute_state: Any,
    ) -> StatusCode:
        """Set the state of an attribute."""
        return self._done(session, self._find(session).set_attribute(attribute, attribute_state))

    def lock(
        self,
        session: VISASession,
        lock_type: constants.Lock,
        timeout: int,
        requested_key: str | None = None,
    ) -> tuple[str, StatusCode]:
        """Grant every lock: one process owns a bench."""
        return requested_key or "", self._done(session, _SUCCESS)

    def unlock(self, session: VISASession) -> StatusCode:
        """Release a lock."""
        return self._done(session, _SUCCESS)

    def gpib_control_ren(self, session: VISASession, mode: constants.RENLineOperation) -> StatusCode:
        """Accept remote and local switching; simulated instruments have no front panel."""
        return self._done(session, _SUCCESS)

    def assert_trigger(self, session: VISASession, protocol: constants.TriggerProtocol) -> StatusCode:
        """Refuse: no simulated instrument listens to a bus trigger."""
        return self._done(session, StatusCode.error_nonsupported_operation)

    def disable_event(
        self, session: VISASession, event_type: constants.EventType, mechanism: constants.EventMechanism
    ) -> StatusCode:
        """Accept: there are no events to disable."""
        return _SUCCESS

    def discard_events(
        self, session: VISASession, event_type: constants.EventType, mechanism: constants.EventMechanism
    ) -> StatusCode:
        """Accept: there are no events to discard."""
        return _SUCCESS

    def _find(self, session: VISASession) -> InstrumentSession:
        found = self._sessions.get(session)
        if found is None:
            self.handle_return_value(session, StatusCode.error_invalid_object)
            raise AssertionError  # the line above raises
        return found

    def _done(self, session: VISASession | VISARMSession, status: StatusCode) -> StatusCode:
        # handle_return_value costs as much as the rest of a short exchange; what raises and warns of nothing
        # needs none of it
        if status is _SUCCESS or status in self._ignore_warning_in_session[session]:
            self._last_status = status
            self._last_status_in_session[session] = status
            return status
        return self.handle_return_value(session, status)


WRAPPER_CLASS = XbarlabVisaLibrary
