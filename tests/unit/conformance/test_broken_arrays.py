"""The conformance checks find what is wrong with an array, one fault at a time, and nothing in one that has none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from xbarlab.conformance.contract import CHECKS
from xbarlab.conformance.subject import BrokenError, NotHereError, Subject
from xbarlab.instruments.array_spec import ArraySpec
from xbarlab.instruments.block import Block
from xbarlab.instruments.board.own_array import OwnArray
from xbarlab.instruments.capabilities import Cost, Delivered, PulseMap, Reading
from xbarlab.instruments.limits import Limits


class Resistors(OwnArray):
    """Resistors, each of another value; nothing is wrong with it."""

    def __init__(self, name: str, log: Path) -> None:
        most = Limits(set_volts_max=3.0, reset_volts_max=2.0)
        super().__init__(
            name, ArraySpec(name=name, rows=4, cols=3, cell="passive", limits=most, read_slot_seconds=1e-5)
        )
        self.log = log
        self.g = 1e-5 * (1.0 + np.arange(12.0).reshape(4, 3))

    def get_idn(self) -> dict[str, str | None]:
        return {"vendor": "t", "model": "Resistors", "serial": "1", "firmware": "0"}

    def measure(self, cells: Block, look: Any) -> Any:
        return self.g[cells.slices] * look.volts

    def give(self, pulses: Any) -> None:
        with self.log.open("ab") as wire:
            wire.write(b"pulse\n")

    def let_go(self) -> None:
        pass


class Milliamperes(Resistors):
    def read(self, cells: Block, *args: Any, **more: Any) -> Reading:
        found = super().read(cells, *args, **more)
        return replace(found, current=1e3 * found.current)


class NoSign(Resistors):
    def read(self, cells: Block, *args: Any, **more: Any) -> Reading:
        found = super().read(cells, *args, **more)
        return replace(found, current=np.abs(found.current), conductance=np.abs(found.current) / found.volts)


class ConductanceForCurrent(Resistors):
    def measure(self, cells: Block, look: Any) -> Any:
        return self.g[cells.slices] * np.sign(look.volts)


class UpsideDown(Resistors):
    def measure(self, cells: Block, look: Any) -> Any:
        return super().measure(cells, look)[::-1]


class WrongShape(Resistors):
    def read(self, cells: Block, *args: Any, **more: Any) -> Reading:
        found = super().read(cells, *args, **more)
        return replace(found, flags=np.zeros(cells.size, np.uint8))


class FreeReads(Resistors):
    def add_cost(self, *, slots: int, seconds: float, pulses: int = 0) -> None:
        super().add_cost(slots=0, seconds=seconds, pulses=pulses)


class CountsTwice(Resistors):
    def add_cost(self, *, slots: int, seconds: float, pulses: int = 0) -> None:
        super().add_cost(slots=slots, seconds=seconds, pulses=2 * pulses)


class SlowerThanForetold(Resistors):
    def add_cost(self, *, slots: int, seconds: float, pulses: int = 0) -> None:
        super().add_cost(slots=slots, seconds=2.5 * seconds, pulses=pulses)


class Clips(Resistors):
    def pulse(self, pulses: PulseMap) -> Delivered:
        if not isinstance(pulses.volts, str):
            pulses = replace(pulses, volts=np.clip(np.nan_to_num(np.asarray(pulses.volts)), -2.0, 3.0))
        return super().pulse(pulses)


class SendsFirst(Resistors):
    def read(self, cells: Block, *args: Any, **more: Any) -> Reading:
        with self.log.open("ab") as wire:
            wire.write(b"read\n")
        return super().read(cells, *args, **more)


class RaisesWhatComes(Resistors):
    def read(self, cells: Block, volts: float | None = None, **more: Any) -> Reading:
        if volts is not None and not np.isfinite(volts):
            raise ValueError("cannot convert float NaN to integer")
        return super().read(cells, volts, **more)


class DeclaresTooMuch(Resistors):
    def __init__(self, name: str, log: Path) -> None:
        super().__init__(name, log)
        self.spec = replace(self.spec, supports=frozenset({"sample"}))


class FiresCountZero(Resistors):
    def pulse(self, pulses: PulseMap) -> Delivered:
        return super().pulse(replace(pulses, count=np.maximum(pulses.count, 1)))


class NotIdleTwice(Resistors):
    released = False

    def idle(self) -> None:
        if self.released:
            raise RuntimeError("not connected")
        self.released = True


class SharedRecord(Resistors):
    """Remembers the block of whoever asked last, as a driver does that keeps its request in an attribute."""

    def read(self, cells: Block, *args: Any, **more: Any) -> Reading:
        self.asked = cells
        found = super().read(cells, *args, **more)
        return replace(found, block=self.asked)

    def measure(self, cells: Block, look: Any) -> Any:
        import time

        time.sleep(0.002)
        return super().measure(cells, look)


class SkipsWear(Resistors):
    def pulse(self, pulses: PulseMap) -> Delivered:
        kept, self.wear = self.wear, type(self.wear)("other", (4, 3))
        try:
            return super().pulse(pulses)
        finally:
            self.wear = kept


BROKEN = {
    Milliamperes: "reads: a read is a Reading",
    NoSign: "reads: currents have the sign",
    ConductanceForCurrent: "reads: half the volts",
    UpsideDown: "reads: a single cell read alone",
    WrongShape: "reads: a read is a Reading",
    FreeReads: "reads: a read costs no pulse",
    CountsTwice: "pulses: a pulse map costs",
    SlowerThanForetold: "reads: a read costs no pulse",
    Clips: "refused: a pulse above set_volts_max",
    SendsFirst: "refused: a read above read_volts_max",
    RaisesWhatComes: "refused: a read at NaN",
    DeclaresTooMuch: "declared: every declared ability",
    FiresCountZero: "pulses: a map without a pulse",
    NotIdleTwice: "life: idle() works in any state",
    SharedRecord: "life: two threads",
    SkipsWear: "life: pulses are in the chip's account",
}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "wire.log"
    path.touch()
    return path


@pytest.fixture
def on(request: pytest.FixtureRequest, log: Path) -> Iterator[Subject]:
    array = request.param("own", log)
    identities = {"own": SimpleNamespace(model="Resistors")}
    bench: Any = SimpleNamespace(
        array=array, clock=array.clock, wear=array.wear, identities=identities, chip=SimpleNamespace(id="own")
    )
    yield Subject(bench, Block(1, 2, 0, 2), log)
    array.let_go()
    array.__dict__.pop("released", None)
    array.close()


def broken_by(on: Subject) -> list[str]:
    found: list[str] = []
    for check in CHECKS:
        try:
            check.on(on)
        except NotHereError:
            continue
        except BrokenError:
            found.append(check.name)
        except Exception as error:  # a fault may end a check anyhow: that is found, too
            found.append(f"{check.name} ({type(error).__name__})")
    return found


@pytest.mark.parametrize("on", [Resistors], indirect=True)
def test_an_array_without_fault_passes(on: Subject) -> None:
    assert broken_by(on) == []
    assert on.array.cost != Cost()


@pytest.mark.parametrize(("on", "finding"), BROKEN.items(), indirect=["on"], ids=[one.__name__ for one in BROKEN])
def test_a_fault_is_found_where_it_is(on: Subject, finding: str) -> None:
    found = broken_by(on)
    assert any(name.startswith(finding) for name in found), found
