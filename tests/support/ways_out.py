"""Ways out that tests of several probe stations share: Ctrl-C in a sweep, a scripted fault, a host that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from xbarlab.common.errors import XbarlabError
from xbarlab.instruments.abilities import Sweeps
from xbarlab.mockhw.bench.bench import MockBench
from xbarlab.mockhw.faults import Fault
from xbarlab.mockhw.front_ends.tcp_host import serve

LOOP = np.concatenate([np.linspace(0.0, 0.8, 9), np.linspace(0.8, -0.8, 17)])
"""Of a cell that nobody has formed: it conducts, and does not switch [V]."""


def swept(bench: Any, *, dwell: float = 1e-2) -> None:
    """Let an instrument sweep a virgin cell by itself."""
    bench.array.ability(Sweeps).sweep(2, 3, LOOP, compliance=1e-3, dwell=dwell, scheme="float")


def share_of_a_sweep(bench: Any, mock: MockBench, terminal: Any, *, dwell: float) -> float:
    """Press Ctrl-C while a source is away from 0 V in a sweep of its own; return which share of it had passed."""
    started = 0.0
    with pytest.raises(KeyboardInterrupt), bench:  # noqa: PT012
        array: Any = bench.array
        started = mock.clock.now

        def interrupt(seconds: float) -> None:
            array.row_smu.advance_simulation(0.3 * seconds)
            if abs(terminal.volts) > 0.1:
                raise KeyboardInterrupt

        array.clock.wait = interrupt
        swept(bench, dwell=dwell)
    return (mock.clock.now - started) / (LOOP.size * dwell)


def said_of_a_fault(
    bench: Any, mock: MockBench, address: str, fault: Fault, name: str, *steps: Callable[[], object]
) -> list[str]:
    """Let a fault strike in the course of steps; return what was said: nothing, or one sentence that names ``name``."""
    mock.script_faults(address, [fault])
    said: list[str] = []
    try:
        with bench:
            for step in steps:
                step()
    except XbarlabError as error:
        said.append(str(error))
    assert all(name in sentence and not {"\n", "\0"} & set(sentence) for sentence in said), said
    assert mock.log.faults(), "the fault never struck"
    return said


def seconds_after_a_kill(bench: Any, address: str, program: str, arguments: Sequence[str]) -> float:
    """Run ``program`` on an instrument over TCP in a process of its own, and kill it when it prints for how long [s]
    the instrument will go on by itself; return that. The chip lives here."""
    with serve(bench, port=0, rate=0.0) as addresses:
        host, port = addresses[address]
        command = [sys.executable, "-c", program, f"TCPIP0::{host}::{port}::SOCKET", *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as child:
            assert child.stdout is not None
            running = float(child.stdout.readline())
            child.send_signal(signal.SIGKILL)
            child.wait()
    return running


def a_level_stays_until_the_next_opening(mainframe: Any, address: str, driver: Any, ohms: float) -> None:
    """Lose the host of a box with two SMUs that holds a level: the output stays on until the box is opened again."""
    with serve(mainframe, port=0, rate=0.0) as addresses:
        host, port = addresses[address]

        def box() -> Any:
            resource = f"TCPIP0::{host}::{port}::SOCKET"
            return driver("analyser", resource, visalib="@py", limits={"current_max": 1e-3})

        first = box()
        first.smu2.on(compliance=1e-3)
        first.smu1.on(0.5, compliance=1e-3)
        assert first.smu1.measure().current == pytest.approx(0.5 / ohms, rel=0.02)
        first.visa_handle.close()  # as when the process is gone
        first.wire.connection.forbid_reopening()
        assert mainframe.box.smus[1].output
        second = None
        try:
            type(first).close_all()
            second = box()
            assert not mainframe.box.smus[1].output
        finally:
            if second is not None:
                second.close()
