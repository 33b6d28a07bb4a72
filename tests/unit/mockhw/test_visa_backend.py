"""The in-process PyVISA backend, driven as PyVISA and stock QCoDeS drivers drive a real one."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import pyvisa
from pyvisa.constants import BufferOperation, ResourceAttribute, StatusCode
from pyvisa.resources import MessageBasedResource

from xbarlab.mockhw.bench.bench import MockBench, fresh_bench

SOCKET = "TCPIP0::127.0.0.1::5025::SOCKET"
GPIB = "GPIB0::7::INSTR"
USB = "USB0::0x1234::0x5678::MOCK::0::INSTR"


@pytest.fixture
def bench(tmp_path: Path) -> MockBench:
    path = tmp_path / "two words.bench.yaml"
    entries = "\n".join(f'  - {{kind: array_board, address: "{a}"}}' for a in (SOCKET, GPIB, USB))
    path.write_text(f"chip: {{profile: ta_hfo2_1t1r}}\ninstruments:\n{entries}\n", encoding="utf-8")
    return fresh_bench(path)


@pytest.fixture
def manager(bench: MockBench) -> Iterator[pyvisa.ResourceManager]:
    manager = pyvisa.ResourceManager(f"{bench.path}@xbarlab")
    yield manager
    manager.close()


def open_(manager: pyvisa.ResourceManager, address: str, **kwargs: object) -> MessageBasedResource:
    resource = manager.open_resource(address, read_termination="\n", write_termination="\n", **kwargs)
    assert isinstance(resource, MessageBasedResource)
    return resource


@pytest.mark.parametrize("address", [SOCKET, GPIB, USB])
def test_write_read_query_on_every_kind_of_resource(manager: pyvisa.ResourceManager, address: str) -> None:
    board = open_(manager, address)
    assert board.query("*IDN?") == "xbarlab,mock array board,MOCK-0001,1.0"
    assert board.query("sens:rang 2e-5;range?;:syst:err?") == '0.0001;0,"No error"'
    assert board.query_ascii_values("SENS:RANG?;AVER?", separator=";") == [1e-4, 1.0]


def test_end_without_terminator_is_enough_on_gpib_but_not_on_a_socket(manager: pyvisa.ResourceManager) -> None:
    gpib, socket = open_(manager, GPIB), open_(manager, SOCKET, timeout=100)
    gpib.write_raw(b"*OPC?")
    assert gpib.read() == "1"
    socket.write_raw(b"*OPC?")
    with pytest.raises(pyvisa.VisaIOError) as caught:
        socket.read()
    assert caught.value.error_code == StatusCode.error_timeout
    socket.write_raw(b"\n")
    assert socket.read() == "1"


def test_the_bench_is_found_by_its_addresses(manager: pyvisa.ResourceManager) -> None:
    assert set(manager.list_resources()) == {GPIB, USB}
    assert set(manager.list_resources("?*")) == {GPIB, USB, SOCKET}
    with pytest.raises(pyvisa.VisaIOError) as caught:
        manager.open_resource("GPIB0::8::INSTR")
    assert caught.value.error_code == StatusCode.error_resource_not_found


def test_a_stream_has_one_reader(manager: pyvisa.ResourceManager) -> None:
    first = open_(manager, SOCKET)
    with pytest.raises(pyvisa.VisaIOError) as caught:
        manager.open_resource(SOCKET)
    assert caught.value.error_code == StatusCode.error_resource_busy
    first.close()
    open_(manager, SOCKET).close()


def test_blocks_with_and_without_the_termination_character(manager: pyvisa.ResourceManager, bench: MockBench) -> None:
    board = open_(manager, SOCKET)
    assert board.query("OUTP ON;:SYST:ERR?") == '0,"No error"'
    board.write("READ:MAP? 0,128,0,64")
    board.read_termination = None
    reply = board.read_bytes(7 + 9 * 8192 + 1)
    assert reply[:7] == b"#573728"
    assert reply[-1:] == b"\n"
    # With the termination character on, a read ends at each 0x0A of the payload, as with a real socket.
    board.read_termination = "\n"
    board.write("FETC:MAP?")
    found = reply.index(b"\n") + 1
    assert board.read_raw() == reply[:found]
    board.clear()
    assert board.query("*OPC?") == "1", "clear throws away what has been received"
    gpib = open_(manager, GPIB)
    gpib.query("OUTP ON;*OPC?")
    gpib.read_termination = None
    currents = gpib.query_binary_values("SAMP? 0,0,0.1,5,1000,100", datatype="f", container=np.array)
    assert currents.shape == (100,)


def test_reads_in_portions(manager: pyvisa.ResourceManager) -> None:
    for address in (SOCKET, GPIB):
        board = open_(manager, address)
        board.write("*IDN?")
        whole = b"xbarlab,mock array board,MOCK-0001,1.0\n"
        assert board.read_bytes(7, chunk_size=3) == whole[:7]
        assert board.visalib.read(board.session, len(whole) - 7)[0] == whole[7:]
        board.close()


def test_timeouts_are_simulated_and_the_late_reply_is_interrupted(
    manager: pyvisa.ResourceManager, bench: MockBench
) -> None:
    board = open_(manager, SOCKET)
    board.query("OUTP ON;:SYST:WATC 0;*OPC?")
    board.timeout = 500
    begun = bench.clock.now
    board.write("SAMP? 0,0,0.1,5,1000,1000")  # one second
    with pytest.raises(pyvisa.VisaIOError) as caught:
        board.read()
    assert caught.value.error_code == StatusCode.error_timeout
    assert bench.clock.now - begun == pytest.approx(0.5)
    assert board.query("SYST:ERR?").startswith("-410")
    assert board.query("STAT:OPER:COND?") == "16", "the measurement itself goes on"
    assert board.query("SIM:CLOC:ADV 1;:STAT:OPER:COND?") == "0"
    board.timeout = None
    board.write("SAMP? 0,0,0.1,5,1000,10000")
    board.read_termination = None
    assert len(board.read_bytes(7 + 40000 + 1)) == 40008


def test_reading_without_asking_is_unterminated(manager: pyvisa.ResourceManager, bench: MockBench) -> None:
    gpib = open_(manager, GPIB, timeout=250)
    with pytest.raises(pyvisa.VisaIOError):
        gpib.read()
    assert bench.clock.now == pytest.approx(0.25)
    assert gpib.query("SYST:ERR?") == '-420,"Query UNTERMINATED"'


def test_status_byte_and_device_clear(manager: pyvisa.ResourceManager) -> None:
    gpib = open_(manager, GPIB)
    assert gpib.read_stb() == 0
    gpib.write("NOPE")
    assert gpib.read_stb() == 4
    gpib.write("*CLS;*IDN?")
    assert gpib.read_stb() == 16
    gpib.clear()
    assert gpib.read_stb() == 0
    assert gpib.query("*OPC?;:SYST:ERR?") == '1;0,"No error"'
    gpib.flush(BufferOperation.discard_read_buffer)
    with pytest.raises(pyvisa.VisaIOError):
        open_(manager, SOCKET).read_stb()


def test_attributes(manager: pyvisa.ResourceManager) -> None:
    board = open_(manager, SOCKET)
    assert board.timeout == 2000
    board.timeout = 1234
    assert board.timeout == 1234
    assert board.resource_name == SOCKET
    assert board.interface_type == pyvisa.constants.InterfaceType.tcpip
    assert board.get_visa_attribute(ResourceAttribute.tcpip_nodelay)
    board.set_visa_attribute(ResourceAttribute.tcpip_nodelay, True)
    board.write("*IDN?")
    assert board.read_bytes(1) == b"x"
    with pytest.raises(pyvisa.VisaIOError):
        board.get_visa_attribute(ResourceAttribute.gpib_primary_address)


def test_closing_a_socket_turns_the_board_off_and_closing_gpib_does_not(
    manager: pyvisa.ResourceManager, bench: MockBench
) -> None:
    for address, left in ((SOCKET, False), (GPIB, True)):
        board = open_(manager, address)
        board.query("OUTP ON;*OPC?")
        board.close()
        assert bench.instruments[address].output is left  # pyright: ignore[reportAttributeAccessIssue]
    assert bench.log.texts() == ["connected", "client lost", "volts 0", "disconnected", "connected"]


def test_a_dropped_connection(tmp_path: Path) -> None:
    path = tmp_path / "b.yaml"
    path.write_text(
        f'chip: {{profile: ta_hfo2_1t1r}}\ninstruments: [{{kind: array_board, address: "{SOCKET}"}}]\n'
        "faults: [{kind: drop_connection, header: 'READ:MAP?'}]\n",
        encoding="utf-8",
    )
    bench = fresh_bench(path)
    manager = pyvisa.ResourceManager(f"{path}@xbarlab")
    board = open_(manager, SOCKET)
    board.query("OUTP ON;*OPC?")
    board.write("READ:MAP? 0,1,0,1")
    for call in (board.read, lambda: board.write("*IDN?")):
        with pytest.raises(pyvisa.VisaIOError) as caught:
            call()
        assert caught.value.error_code == StatusCode.error_connection_lost
    assert bench.log.texts()[-2:] == ["volts 0", "disconnected"]
    board.close()
    assert open_(manager, SOCKET).query("*OPC?") == "1"
    manager.close()


def test_a_fresh_bench_is_what_the_next_opening_finds(manager: pyvisa.ResourceManager, bench: MockBench) -> None:
    old = open_(manager, SOCKET)
    old.write("SIM:CLOC:ADV 5")
    fresh_bench(bench.path, seed=3)
    new = open_(manager, SOCKET)
    assert (old.query("SIM:CLOC?"), new.query("SIM:CLOC?")) == ("5", "0")


@pytest.mark.parametrize("address", [SOCKET, GPIB])
def test_a_stock_qcodes_driver(bench: MockBench, address: str) -> None:
    from qcodes.instrument import VisaInstrument
    from qcodes.validators import Numbers

    class Anything(VisaInstrument):
        default_terminator = "\n"
        default_timeout = 3

        def __init__(self, name: str, address: str, visalib: str) -> None:
            super().__init__(name, address, visalib=visalib)
            self.volts = self.add_parameter(
                "volts",
                get_cmd="SOUR:READ:VOLT?",
                set_cmd="SOUR:READ:VOLT {:.6g}",
                get_parser=float,
                vals=Numbers(-0.5, 0.5),
                unit="V",
            )

    with warnings.catch_warnings():
        warnings.simplefilter("error", pyvisa.errors.VisaIOWarning)
        device = Anything("anything", address, f"{bench.path}@xbarlab")
        try:
            assert device.get_idn()["model"] == "mock array board"
            device.volts(0.125)
            assert device.volts() == 0.125
            assert device.timeout() == 3.0
            assert device.snapshot(update=True)["parameters"]["volts"]["value"] == 0.125
            assert device.ask("SYST:ERR?") == '0,"No error"'
        finally:
            device.close()
