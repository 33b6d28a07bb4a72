"""A mock bench: instruments wired to one chip and one clock, built from a bench file, one owner per file."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..chip.life_file import read_seed
from ..faults import Fault, FaultPlan
from ..instrument import BenchLog, SimulatedInstrument
from ..sim_clock import SimClock
from .entries import AddressedEntry, ArcTwoEntry, ArrayBoardEntry, KeysightB1500Entry
from .file import BenchFile, BenchFileError, FaultEntry, load_bench_file

if TYPE_CHECKING:
    from ..chip.profile import Profile
    from ..chip.virtual_chip import VirtualChip
    from ..instruments.arc_two.library import Pyarc2
    from ..instruments.keysight_b1530.library import Wgfmu
    from ..passive_chip.chip import PassiveChip
    from ..probe_circuit.circuit import ProbeCircuit
    from ..probe_circuit.hand import Hand


class MockBench:
    """Everything on one simulated bench.

    Parameters
    ----------
    content : BenchFile
        The checked bench file.
    path : Path
        Where it came from; paths inside are relative to it.
    seed : int, optional
        In place of the file's.

    Attributes
    ----------
    instruments : dict of str to SimulatedInstrument
        By canonical VISA resource name.
    libraries : dict of str to Pyarc2 or Wgfmu
        What stands for a vendor's library, by its name.
    chip : VirtualChip or PassiveChip
    circuit : ProbeCircuit, optional
        The cables of a probe station.
    hand : Hand, optional
        Who puts the probes on devices, where there is no matrix.
    clock : SimClock
    log : BenchLog
        What happened, for tests.
    seed : int
    """

    def __init__(self, content: BenchFile, path: Path, *, seed: int | None = None) -> None:
        self.path = path
        self.content = content
        self.seed = content.chip.seed if seed is None else seed
        self.clock = SimClock()
        self.log = BenchLog()
        entries = _addressed(content, path.name)
        self.chip = self._make_chip()
        self.state_file = None if content.chip.state is None else path.parent / content.chip.state
        if self.state_file is not None and self.state_file.is_file():
            try:
                self.chip.load(self.state_file)
            except (ValueError, OSError) as error:
                raise BenchFileError(f"{path.name}: chip.state: {error}") from error
        self.circuit: ProbeCircuit | None = None
        self.hand: Hand | None = None
        self.instruments: dict[str, SimulatedInstrument] = self._make_instruments(entries)
        self.libraries: dict[str, Pyarc2 | Wgfmu] = self._make_libraries()
        self._script_faults()
        for instrument in self.instruments.values():
            instrument.released = self._released

    def save_state(self) -> None:
        """Write the chip's state, if the bench file names a place for it."""
        if self.state_file is not None:
            self.chip.save(self.state_file)

    def _released(self) -> None:
        boards = (one for library in self.libraries.values() for one in library.held)
        if not any(one.clients for one in (*self.instruments.values(), *boards)):
            self.save_state()

    def _make_chip(self) -> VirtualChip | PassiveChip:
        from ..chip.profile import ProfileError

        profile = profile_of(self.content, self.path)
        try:
            if profile.cell == "passive":
                from ..passive_chip.chip import PassiveChip
                from .warm_up import warm_up

                warm_up(profile)
                return PassiveChip(profile, seed=self.seed, clock=self.clock)
            from ..chip.virtual_chip import VirtualChip

            return VirtualChip(profile, seed=self.seed, clock=self.clock)
        except (ProfileError, ValueError) as error:
            raise BenchFileError(f"{self.path.name}: chip.profile: {error}") from error

    def _make_instruments(self, entries: Mapping[str, AddressedEntry]) -> dict[str, SimulatedInstrument]:
        from ..passive_chip.chip import PassiveChip
        from .instruments import make_board, make_circuit, make_hand, make_probe_instrument

        name, profile, chip = self.path.name, self.content.chip.profile, self.chip
        probes = [entry for entry in entries.values() if not isinstance(entry, ArrayBoardEntry)]
        if probes:
            if not isinstance(chip, PassiveChip):
                raise BenchFileError(f"{name}: chip.profile: {profile} is no passive chip: a probe station takes those")
            if self.content.hand is not None:
                self.hand = make_hand(self.content.hand, probes, chip, self.clock, self.log, name=name)
                self.circuit = self.hand.circuit
            else:
                self.circuit = make_circuit(self.content.wiring, probes, chip, self.clock, self.log, name=name)
        made: dict[str, SimulatedInstrument] = {}
        for index, (address, entry) in enumerate(entries.items()):
            seed = self.seed + 1000 * index
            if not isinstance(entry, ArrayBoardEntry):
                assert self.circuit is not None
                made[address] = make_probe_instrument(
                    address, entry, self.circuit, self.clock, self.log, seed=seed, profile=profile
                )
            elif isinstance(chip, PassiveChip):
                raise BenchFileError(f"{name}: chip.profile: {profile} is passive: an array board takes 1T1R chips")
            else:
                made[address] = make_board(address, entry, chip, self.clock, self.log, seed=seed, profile=profile)
        return made

    def _make_libraries(self) -> dict[str, Pyarc2 | Wgfmu]:
        from .instruments import make_arc_two, make_wgfmu

        made: list[Pyarc2 | Wgfmu] = []
        boards = [entry for entry in self.content.instruments if isinstance(entry, ArcTwoEntry)]
        if boards:
            made.append(
                make_arc_two(
                    boards, self.chip, self.clock, seed=self.seed, profile=self.content.chip.profile,
                    name=self.path.name,
                )
            )  # fmt: skip
        mainframes = [
            entry for entry in self.content.instruments if isinstance(entry, KeysightB1500Entry) and entry.rsus
        ]
        if mainframes:
            assert self.circuit is not None
            made.append(
                make_wgfmu(
                    mainframes, self.circuit, self.clock, self.log, seed=self.seed,
                    profile=self.content.chip.profile, name=self.path.name,
                )
            )  # fmt: skip
        for library in made:
            for one in library.held:
                one.released = self._released
        return {library.name: library for library in made}

    def script_faults(self, address: str, faults: Sequence[Fault], *, seed: int = 0) -> FaultPlan:
        """Let faults strike the instrument at ``address`` in place of those it has.

        Parameters
        ----------
        address : str
            VISA resource name.
        faults : sequence of Fault
            Headers in any spelling of the instrument's commands.
        seed : int
            Of what happens by chance.

        Raises
        ------
        BenchFileError
            When the instrument has no such command, or the chip no such cell.
        """
        instrument = self.instruments[_canonical(address)]
        plan = FaultPlan([self._spelled(fault, instrument) for fault in faults], [self.seed, seed])
        instrument.session.faults = plan
        return plan

    def _spelled(self, fault: Fault, instrument: SimulatedInstrument) -> Fault:
        """Return a fault with its header as the command table has it."""
        name = self.path.name
        if fault.cell is not None and not (0 <= fault.cell[0] < self.chip.rows and 0 <= fault.cell[1] < self.chip.cols):
            raise BenchFileError(
                f"{name}: faults: cell {fault.cell} is outside the chip of {self.chip.rows} × {self.chip.cols}"
            )
        if not fault.header:
            return fault
        command = instrument.session.tree.find(fault.header)
        if command is None:
            raise BenchFileError(f"{name}: faults: {instrument.kind} has no command {fault.header!r}")
        return replace(fault, header=command.pattern)

    def _script_faults(self) -> None:
        for index, (address, instrument) in enumerate(self.instruments.items()):
            instrument.under_test = self.chip
            mine = [f for f in self.content.faults if f.address is None or _canonical(f.address) == address]
            if mine:
                self.script_faults(address, [_fault(entry) for entry in mine], seed=index)
        for fault in self.content.faults:
            if fault.address is not None and _canonical(fault.address) not in self.instruments:
                raise BenchFileError(
                    f"{self.path.name}: faults: no instrument at {fault.address}; there are "
                    + ", ".join(self.instruments)
                )


def profile_of(content: BenchFile, path: Path) -> Profile:
    """Return the profile of the chip that a bench file, read from ``path``, has in its socket."""
    from ..chip.profile import ProfileError, list_profiles, load_profile

    name = content.chip.profile
    beside = path.parent / name
    if name not in list_profiles() and beside.is_file():
        name = str(beside)
    try:
        return load_profile(name, content.chip.changes)
    except (ProfileError, ValueError) as error:
        raise BenchFileError(f"{path.name}: chip.profile: {error}") from error


def _canonical(address: str) -> str:
    from pyvisa import rname

    try:
        return str(rname.parse_resource_name(address))
    except rname.InvalidResourceName as error:
        raise BenchFileError(f"{address!r} is not a VISA resource name: {error}") from error


def _addressed(content: BenchFile, name: str) -> dict[str, AddressedEntry]:
    entries: dict[str, AddressedEntry] = {}
    for entry in content.instruments:
        if isinstance(entry, ArcTwoEntry):
            continue
        address = _canonical(entry.address)
        if address in entries:
            raise BenchFileError(f"{name}: two instruments at address {address}; give each its own")
        entries[address] = entry
    return entries


def _fault(entry: FaultEntry) -> Fault:
    return Fault(**entry.model_dump(exclude={"address"}))


_benches: Final[dict[Path, MockBench]] = {}
_building: Final = threading.Lock()


def bench_for(path: str | Path) -> MockBench:
    """Return the bench of a bench file, building it the first time it is asked for in this process."""
    place = Path(path).resolve()
    with _building:
        bench = _benches.get(place)
        if bench is None:
            bench = _benches[place] = MockBench(load_bench_file(place), place)
        return bench


def fresh_bench(path: str | Path, *, seed: int | None = None) -> MockBench:
    """Forget the bench of a bench file and build it anew, with ``seed`` in place of the file's."""
    place = Path(path).resolve()
    with _building:
        bench = _benches[place] = MockBench(load_bench_file(place), place, seed=seed)
        return bench


def living_seed(path: str | Path) -> int | None:
    """Return the seed of the chip that lives in the state file of a bench file; None where none lives there yet."""
    place = Path(path).resolve()
    state = load_bench_file(place).chip.state
    file = place.parent / state if state is not None else None
    if file is None or not file.is_file():
        return None
    try:
        return read_seed(file)
    except ValueError as error:
        raise BenchFileError(f"{place.name}: chip.state: {error}") from error


def set_chip_aside(path: str | Path) -> None:
    """Rename the state file of a bench file, so that a new chip begins there; nothing of the old one is lost."""
    place = Path(path).resolve()
    state = load_bench_file(place).chip.state
    if state is not None and (place.parent / state).is_file():
        file = place.parent / state
        number = 1
        while (old := file.with_name(f"{file.name}.old{number}")).exists():
            number += 1
        file.replace(old)


def forget_bench(path: str | Path) -> None:
    """Forget the bench of a bench file; sessions that are open keep theirs."""
    with _building:
        _benches.pop(Path(path).resolve(), None)


def forget_benches() -> None:
    """Forget every bench of this process; sessions that are open keep theirs."""
    with _building:
        _benches.clear()
