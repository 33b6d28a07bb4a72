"""The trigger model of a Keithley 2400: source, delay, measure, as often as arm and trigger count say (section 11)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...probe_circuit.script import Run, Script
from ...scpi.errors import ScpiError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...scpi.device import Reply
    from .core import SourceMeterCore


def begin(smu: SourceMeterCore, finish: Callable[[], Reply | None] | None = None) -> Run:
    """Leave the idle state.

    Raises
    ------
    ScpiError
        +803 with the output off.
    """
    if not smu.output and not smu.settings.clear_auto:
        raise ScpiError(803, "Not permitted with OUTPUT off")
    mode = smu.settings.active_source.mode
    levels = _levels(smu)
    smu.latest = []
    run = Run("reading" if mode == "FIX" else "sweep", _script(smu, levels, smu.now), smu.now, finish)
    smu.start(run)
    smu.settle(smu.now)
    return run


def _levels(smu: SourceMeterCore) -> Sequence[float]:
    """Return the levels of a list or sweep; none where the source is fixed."""
    source = smu.settings.active_source
    if source.mode == "LIST":
        return source.sweep_list
    if source.mode == "SWE":
        return np.linspace(source.start, source.stop, smu.settings.sweep_points).tolist()
    return ()


def _script(smu: SourceMeterCore, levels: Sequence[float], start: float) -> Script:
    settings = smu.settings
    at = start
    if levels and settings.sweep_ranging == "BEST":
        from .specs import range_for

        settings.active_source.on_range = range_for(settings.source_function, max(levels, key=abs))
    for made in range(settings.arm_count * settings.trigger_count):
        at += settings.trigger_delay
        if levels:
            smu.step_to(at, levels[made % len(levels)])
        if settings.clear_auto:
            smu.turn_on(at)
        at += smu.source_delay() + smu.reading_seconds()
        yield at
        seen = smu.see(at)
        extra = smu.change_range(seen)
        if extra:
            at += extra
            yield at
            seen = smu.see(at)
        smu.store(at, seen)
        if settings.clear_auto:
            smu.turn_off(at)
        if levels and settings.abort_at_limit != "NEV" and smu.limited:
            smu.log.add(at, smu.address, "sweep aborted at the limit")
            return
