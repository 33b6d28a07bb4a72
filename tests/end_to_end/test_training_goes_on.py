"""A loop of one's own is killed in mid-epoch; the chip lives on behind its socket, and another process goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from support.training_bench import write_bench
from xbarlab import open_bench
from xbarlab.instruments.capabilities import CrossbarArray, Delivered, PulseMap
from xbarlab.mockhw.bench.bench import forget_bench, fresh_bench
from xbarlab.mockhw.front_ends.tcp_host import serve

torch = pytest.importorskip("torch")

from support.small_training import accuracy, cross_entropy, small_network, three_classes  # noqa: E402
from xbarlab.protocols.training.checkpoints import load_checkpoint, save_checkpoint  # noqa: E402
from xbarlab.protocols.training.convert import Converted, convert  # noqa: E402
from xbarlab.protocols.training.optimizer import ArrayOptimizer  # noqa: E402
from xbarlab.protocols.training.rules.update_rules import TwoPulse  # noqa: E402

EPOCHS, PARTS, KILLED_AT = 6, 3, (3, 1)


def begin(array: CrossbarArray, seed: int, program: Literal["write", "read"]) -> tuple[Converted, ArrayOptimizer]:
    rule = TwoPulse(share=0.5, refresh=False)
    converted = convert(small_network(seed), array, rule=rule, program=program)
    return converted, ArrayOptimizer(torch.optim.Adam(converted.model.parameters(), lr=0.03), converted)


def first_session(station: Path, kept: Path) -> None:
    """Train, keep every epoch, the learning rate halved after the second, and die between a RESET and its SET."""
    with open_bench(station) as bench:
        converted, optimiser = begin(bench.array, 0, "write")
        x, y = three_classes()
        for epoch in range(EPOCHS):
            for part in range(PARTS):
                if (epoch, part) == KILLED_AT:
                    print(accuracy(converted.model, x, y), flush=True)
                    bench.array.pulse = dying(bench.array)
                step(converted, optimiser, part)
            if epoch == 1:
                optimiser.param_groups[0]["lr"] *= 0.5
            save_checkpoint(kept, optimiser, chip="ideal")


def dying(array: CrossbarArray) -> Callable[[PulseMap], Delivered]:
    """Return an array's pulse that is given once, and then ends this process."""
    pulse, given = array.pulse, list[PulseMap]()

    def die(pulses: PulseMap) -> Delivered:
        given.append(pulses)
        if len(given) == 2:
            os._exit(9)
        return pulse(pulses)

    return die


def step(converted: Converted, optimiser: ArrayOptimizer, part: int) -> None:
    x, y = three_classes()
    optimiser.zero_grad()
    cross_entropy(converted.model, x[part::PARTS], y[part::PARTS]).backward()
    optimiser.step()


@pytest.mark.slow
def test_a_killed_loop_goes_on_with_its_chip_and_learning_rate(tmp_path: Path) -> None:
    station = write_bench(tmp_path, "gate_voltage_1t1r", size=(64, 40))
    own = tmp_path / "ideal.bench.yaml"
    mock = fresh_bench(own, seed=1)
    with serve(mock, port=0) as addresses:
        text = station.read_text(encoding="utf-8").replace("ideal.bench.yaml@xbarlab", '"@py"')
        for address, (host, port) in addresses.items():
            text = text.replace(address, f"TCPIP0::{host}::{port}::SOCKET")
        station.write_text(text, encoding="utf-8")
        paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
        code = (
            f"import sys; sys.path[:0] = {paths!r}; from pathlib import Path; import {Path(__file__).stem} as t; "
            f"t.first_session(Path({str(station)!r}), Path({str(tmp_path / 'kept')!r}))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 9, done.stderr
        reached = float(done.stdout.split()[-1])
        with open_bench(station) as bench:
            converted, optimiser = begin(bench.array, 1, "read")
            load_checkpoint(tmp_path / "kept", optimiser, chip="ideal")
            assert bench.array.cost.pulses == 0
            assert (optimiser.param_groups[0]["lr"], optimiser.steps) == (0.015, 9)
            for part in [*range(PARTS)] * (EPOCHS - KILLED_AT[0]):
                step(converted, optimiser, part)
            x, y = three_classes()
            assert accuracy(converted.model, x, y) >= min(reached, 0.95) - 0.03
    forget_bench(own)
