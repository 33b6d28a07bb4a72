"""Configuration lists of a Keithley 2450: settings kept under a name, index by index (Reference Manual, section 4)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypeVar

from ....scpi.errors import ScpiError
from ..core import SourceMeterCore
from ..settings import SenseSettings, Settings, SourceSettings
from ..specs import range_for

_MOST_INDEXES: Final = 300_000
CUSTOM_LISTS: Final = {"VoltCustomSweepList": "VOLT", "CurrCustomSweepList": "CURR"}
"""Lists that ``:SOURce:LIST`` makes."""


Kept = TypeVar("Kept", SourceSettings, SenseSettings)


def _copied(settings: Kept) -> Kept:
    """Return settings that do not move when these do."""
    return replace(settings, user_delays=list(settings.user_delays))


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """One index of a source configuration list."""

    function: str
    settings: SourceSettings

    @classmethod
    def now(cls, settings: Settings) -> SourceEntry:
        """Return what the source is set to."""
        return cls(settings.source_function, _copied(settings.active_source))

    def apply(self, smu: SourceMeterCore, at: float) -> None:
        """Bring the source to it at ``at`` [s]."""
        settings = smu.settings
        if self.function != settings.source_function:
            smu.turn_off(at)
            settings.source_function = self.function
        sweep_list = settings.source[self.function].sweep_list
        settings.source[self.function] = replace(_copied(self.settings), sweep_list=sweep_list)
        if smu.output:
            smu.settled_at = at + smu.source_delay()
        smu.drive(at)

    def told(self) -> list[str]:
        """Return it as commands."""
        kept, root = self.settings, f":SOUR:{self.function}"
        limit = "ILIM" if self.function == "VOLT" else "VLIM"
        return [
            f":SOUR:FUNC {self.function}",
            f"{root}:RANG {kept.on_range.full_scale:.6e}",
            f"{root}:RANG:AUTO {int(kept.autorange)}",
            f"{root} {kept.level:.6e}",
            f"{root}:{limit} {kept.limit:.6e}",
            f"{root}:DEL {kept.delay:.6e}",
            f"{root}:DEL:AUTO {int(kept.auto_delay)}",
            f"{root}:READ:BACK {int(kept.readback)}",
        ]


@dataclass(frozen=True, slots=True)
class SenseEntry:
    """One index of a measure configuration list."""

    function: str
    settings: SenseSettings

    @classmethod
    def now(cls, settings: Settings) -> SenseEntry:
        """Return what the converter is set to."""
        return cls(settings.sense_function, _copied(settings.active_sense))

    def apply(self, smu: SourceMeterCore, at: float) -> None:
        """Bring the converter to it at ``at`` [s]."""
        smu.settings.sense_function = self.function
        smu.settings.sense[self.function] = _copied(self.settings)
        smu.drive(at)

    def told(self) -> list[str]:
        """Return it as commands."""
        kept, root = self.settings, f":SENS:{self.function}"
        return [
            f':SENS:FUNC "{self.function}"',
            f"{root}:RANG {kept.on_range.full_scale:.6e}",
            f"{root}:RANG:AUTO {int(kept.autorange)}",
            f"{root}:NPLC {kept.nplc:.6e}",
            f"{root}:AZER {int(kept.autozero)}",
            f"{root}:RSEN {int(kept.four_wire)}",
            f"{root}:AVER {int(kept.average_on)}",
            f"{root}:AVER:COUN {kept.average_count}",
            f"{root}:UNIT {kept.unit}",
        ]


Entry = SourceEntry | SenseEntry


class ConfigLists:
    """Every configuration list of one instrument.

    Parameters
    ----------
    smu : SourceMeterCore
        Whose settings they keep.

    Attributes
    ----------
    source, sense : dict of str to list
        Source and measure configuration lists by name.
    """

    def __init__(self, smu: SourceMeterCore) -> None:
        self._smu = smu
        self.source: dict[str, list[SourceEntry]] = {}
        self.sense: dict[str, list[SenseEntry]] = {}
        self._sweeps: dict[str, tuple[str, list[float]]] = {}
        self._told: dict[str, int] = {}

    def reset(self) -> None:
        """Forget every list, as ``*RST`` does."""
        self.source.clear()
        self.sense.clear()
        self._sweeps.clear()

    def kept(self, kind: str) -> dict[str, list[SourceEntry]] | dict[str, list[SenseEntry]]:
        """Return the lists of ``kind``: ``source`` or ``sense``."""
        return self.source if kind == "source" else self.sense

    def make_sweep(self, name: str, levels: list[float]) -> None:
        """Keep the points of a sweep under the name the instrument gives them."""
        self._sweeps[name] = (self._smu.settings.source_function, levels)

    def _points(self, name: str) -> tuple[str, list[float]] | None:
        """Return function and levels of a list the instrument has made itself."""
        if name in CUSTOM_LISTS:
            function = CUSTOM_LISTS[name]
            levels = self._smu.settings.source[function].sweep_list
            return (function, levels) if levels else None
        return self._sweeps.get(name)

    def _point(self, function: str, level: float) -> SourceEntry:
        now = self._smu.settings.source[function]
        on_range = range_for(function, level) if now.autorange else now.on_range
        return SourceEntry(function, replace(now, level=level, on_range=on_range))

    def create(self, kind: str, name: str) -> None:
        """``CREate``."""
        if self._known(name) or not name:
            raise ScpiError(2790, f"Configuration list, error, {name or 'without a name'} cannot be made")
        if kind == "source":
            self.source[name] = []
        else:
            self.sense[name] = []

    def delete(self, kind: str, name: str, index: int | None = None) -> None:
        """``DELete``: a whole list or one index of it."""
        self.size(name, kind)
        if index is None:
            self.kept(kind).pop(name, None)
            self._sweeps.pop(name, None)
            return
        self._at(name, index)
        if name in self.kept(kind):
            del self.kept(kind)[name][index - 1]
        else:
            raise ScpiError(-221, f"{name} is made by a sweep: only the whole list can be deleted")

    def store(self, kind: str, name: str, index: int | None = None) -> None:
        """``STORe``: the present settings at ``index``, at the end without one."""
        entries = self.kept(kind).get(name)
        if entries is None:
            raise ScpiError(2790, f"Configuration list, error, {name} does not exist")
        at = len(entries) if index is None else index - 1
        if at > len(entries) or at >= _MOST_INDEXES:
            raise ScpiError(-222, f"index {at + 1} of a list of {len(entries)}")
        if kind == "source":
            self.source[name][at : at + 1] = [SourceEntry.now(self._smu.settings)]
        else:
            self.sense[name][at : at + 1] = [SenseEntry.now(self._smu.settings)]

    def recall(self, name: str, index: int, at: float) -> None:
        """Bring the instrument to index ``index``, from 1, of a list at ``at`` [s]."""
        self._at(name, index).apply(self._smu, at)

    def query(self, kind: str, name: str, index: int, separator: str = ",") -> str:
        """``QUERy?``: what is kept at an index, as commands."""
        self.size(name, kind)
        return f"{separator} ".join(self._at(name, index).told())

    def catalog(self, kind: str) -> str:
        """``CATalog?``: one name after the other, then an empty line, then from the beginning."""
        names, at = [*self.kept(kind), *(self._sweeps if kind == "source" else ())], self._told.get(kind, 0)
        if at >= len(names):
            self._told[kind] = 0
            return ""
        self._told[kind] = at + 1
        return names[at]

    def size(self, name: str, kind: str | None = None) -> int:
        """Return how many indexes a list has.

        Raises
        ------
        ScpiError
            2790 when there is none of this name.
        """
        if kind != "sense":
            if name in self.source:
                return len(self.source[name])
            points = self._points(name)
            if points is not None:
                return len(points[1])
        if kind != "source" and name in self.sense:
            return len(self.sense[name])
        raise ScpiError(2790, f"Configuration list, error, {name} does not exist")

    def _at(self, name: str, index: int) -> Entry:
        if not 1 <= index <= self.size(name):
            raise ScpiError(-222, f"index {index} of {name}, which has {self.size(name)}")
        if name in self.source:
            return self.source[name][index - 1]
        points = self._points(name)
        return self.sense[name][index - 1] if points is None else self._point(points[0], points[1][index - 1])

    def _known(self, name: str) -> bool:
        return name in self.source or name in self.sense or name in CUSTOM_LISTS or name in self._sweeps
