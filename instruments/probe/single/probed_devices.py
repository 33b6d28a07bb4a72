"""Single devices as a ``CrossbarArray``: one source-measure unit, a pair of probes, and a person who moves them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from ....common.errors import RefusedError
from ...abilities import Parts, Samples, Sweeps
from ...drivers.roles import TimedMeter, require_role
from ..face import TogetherArray, allowed_here
from .contact import Contact
from .hand import Hand
from .pulses import NPLC, DevicePulses
from .reads import DeviceReads
from .rig import DeviceRig
from .samples import DeviceSamples
from .spec import device_spec
from .sweeps import DeviceSweeps

if TYPE_CHECKING:
    from ...chip.chip_file import Chip
    from ...limits import NamedLimits

_CONTACT_VOLTS = 0.1


class ProbedDevices(TogetherArray):
    """One device, or a list of devices that a person connects when asked; no matrix, no pulser.

    HI of the source is on a device's top electrode, LO on the other. Before a device is asked for the source is at 0 V,
    off, its relay open; after it the contact is looked at, at a low voltage. Whatever has a voltage is a list that the
    instrument goes through by itself and that ends at 0 V: a host that dies leaves the rest of one list at most.

    Any make of instrument will do that has the verbs of ``TimedMeter`` (``drivers/roles.py``).

    Parameters
    ----------
    name : str
    smu : TimedMeter
    nplc, sweep_nplc : float
        Integration time of a reading, and of a point of a sweep, in mains cycles.
    longest : float [s]
        What one list may take: the longest bias that a device can suffer when the host dies.
    contact_volts : float [V]
        At which a contact is looked at; 0.1 V, or what a read may have where that is less.
    open_below, short_above : float [S]
        What is no contact, and a short.
    chip : Chip
        Names of the devices, polarity, limits.
    limits : mapping
        Narrows further; from the station file.
    """

    ROLES: ClassVar[Mapping[str, type]] = {"smu": TimedMeter}
    """What a station must name."""
    UNITS: ClassVar[Mapping[str, str]] = {"longest": "s", "contact_volts": "V", "open_below": "S", "short_above": "S"}
    """What a station may write with its unit."""

    def __init__(
        self,
        name: str,
        *,
        smu: TimedMeter,
        nplc: float = 1.0,
        sweep_nplc: float = 0.1,
        longest: float = 60.0,
        contact_volts: float | None = None,
        open_below: float = 20e-9,
        short_above: float = 20e-3,
        chip: Chip | None = None,
        limits: NamedLimits | None = None,
    ) -> None:
        if chip is None:
            raise RefusedError(f"{name}: single devices need a chip file, which names them and says what they bear")
        require_role(smu, TimedMeter, where=f"smu of {name}")
        allowed = allowed_here(
            name,
            chip,
            limits,
            ("nplc", nplc, 0.01, 10.0, "cycles"),
            ("sweep_nplc", sweep_nplc, 0.01, 10.0, "cycles"),
            ("longest", longest, 1.0, 1e4, "s"),
        )
        volts = min(_CONTACT_VOLTS, allowed.read_volts_max) if contact_volts is None else contact_volts
        contact = Contact.asked(volts, open_below, short_above, allowed, where=name)
        self.smu = smu
        self._rig = rig = DeviceRig(
            name, smu=smu, chip=chip, limits=allowed, contact=contact, nplc=nplc, longest=longest
        )
        spec = device_spec(
            name,
            chip,
            allowed,
            facts=smu.facts,
            reading=smu.reading_seconds(nplc),
            point=smu.reading_seconds(sweep_nplc),
            shortest=max(1e-3, smu.timed_seconds(NPLC)),
            longest=longest,
            simulated=rig.simulated,
        )
        # A list begins with a level more than there are samples, and ends with 0 V.
        spec = replace(spec, sample_rate_max=1.0 / smu.timed_seconds(NPLC), sample_points_max=smu.facts.points_max - 2)
        able: dict[type, object] = {
            Sweeps: DeviceSweeps(rig, spec, nplc=sweep_nplc),
            Samples: DeviceSamples(rig, spec, nplc=nplc),
        }
        super().__init__(
            rig, spec, reads=DeviceReads(rig, spec, nplc=nplc), pulses=DevicePulses(rig, spec), parts=Parts(name, able)
        )

    @property
    def hand(self) -> Hand | None:
        """Who connects devices; None for the command that is named (``--hand``), or the person at the terminal."""
        return self._rig.hand

    @hand.setter
    def hand(self, hand: Hand | None) -> None:
        self._rig.hand = hand

    def offer_hand(self, hand: Hand | None) -> None:
        """Name who connects devices where nobody else is named."""
        self._rig.offer(hand)

    @property
    def connected(self) -> str:
        """Name of the device on the probes, "" where nobody has said yet."""
        return self._rig.connected
