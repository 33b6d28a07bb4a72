"""Whether the probes touch a device: told by what it carries at a low voltage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....common.errors import RefusedError
from ...capabilities import FloatArray
from ...limits import Limits, refuse_bad_number

POINTS = 4
"""Readings of a check, between one at 0 V before and one after."""


@dataclass(frozen=True, slots=True)
class Contact:
    """What is looked for.

    Attributes
    ----------
    volts : float [V]
        At which it is looked.
    open_below : float [S]
        What carries less is not touched; 0 where virgin devices insulate.
    short_above : float [S]
        What carries more has its probes on each other, or is no device any more.
    """

    volts: float
    open_below: float
    short_above: float

    @classmethod
    def asked(cls, volts: float, open_below: float, short_above: float, limits: Limits, *, where: str) -> Contact:
        """Return what a station asks for; refuse nonsense, and volts above those of reads."""
        volts = limits.one("read_volts", volts, channel=f"{where}.contact_volts")
        refuse_bad_number("contact_volts", volts, 1e-3, limits.read_volts_max, "V", channel=where)
        refuse_bad_number("open_below", open_below, 0.0, 1.0, "S", channel=where)
        refuse_bad_number("short_above", short_above, 1e-6, 100.0, "S", channel=where)
        if open_below >= short_above:
            raise RefusedError(f"{where}: open_below {open_below:g} S is not below short_above {short_above:g} S")
        return cls(volts, open_below, short_above)

    @property
    def levels(self) -> FloatArray:
        """Levels of a check [V]."""
        return np.array([0.0, *[self.volts] * POINTS, 0.0])

    def trouble(self, device: str, conductance: float) -> str:
        """Return what is wrong with a device that carries so much [S], in one sentence; "" where nothing is."""
        if not np.isfinite(conductance) or conductance > self.short_above:
            told = f"{conductance:.3g} S" if np.isfinite(conductance) else "more than the range holds"
            return (
                f"the contact of device {device} is a short: {told} at {self.volts:g} V, above {self.short_above:g} S "
                "(short_above): look whether the probes touch each other"
            )
        if conductance < self.open_below:
            return (
                f"the contact of device {device} is open: {max(conductance, 0.0):.3g} S at {self.volts:g} V, below "
                f"{self.open_below:g} S (open_below): lower the probes, or allow less where new devices insulate"
            )
        return ""
