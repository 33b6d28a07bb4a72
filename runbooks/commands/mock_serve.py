"""Serve a mock bench on sockets, so that any program can drive its instruments like real ones."""

from __future__ import annotations

import re
import secrets
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress

from ...common.errors import RefusedError, unknown
from ...common.text import printable
from ..stations import find_bench, mock_bench


def serve_bench(
    name: str, *, host: str, port: int | None, seed: int | None, token: str | None = None, rate: float = 1.0
) -> None:
    """Serve a bench file's instruments until Ctrl-C.

    Where other computers can reach it, a client has to say ``XBAR:TOKEN <token>`` in its first line; nothing it sends
    before that reaches an instrument, and the line is not answered.

    Parameters
    ----------
    name : path of a bench file, or a shipped one
    port : port of the first instrument; 0: any free ones; ``None``: those of the addresses in the file
    seed : in place of the file's
    token : what clients have to say first; ``None``: nothing on loopback, elsewhere one that is made up and printed
    rate : simulated seconds that a second on the wall moves what runs
    """
    from ...mockhw.bench.file import BenchFileError, addresses_of, load_bench_file
    from ...mockhw.front_ends.tcp_host import HostError, is_loopback, refuse_taken_ports, serve_forever

    path = find_bench(name)
    try:
        with suppress(BenchFileError):  # said below
            refuse_taken_ports(addresses_of(load_bench_file(path)), host, port)
    except HostError as error:
        raise RefusedError(str(error)) from error
    print(
        f"building {path.name}: nobody is let in before it says where it is served; the first time on a computer "
        "its physics is compiled, up to a minute",
        file=sys.stderr,
        flush=True,
    )
    bench = mock_bench(path, seed=seed)
    if not is_loopback(host):
        print(
            f"warning: whoever reaches {host} over the network can try to drive this bench; nothing is encrypted, "
            "and a token is all that keeps others out. Leave --host away to serve this computer only.",
            file=sys.stderr,
            flush=True,
        )
        if token is None:
            token = secrets.token_urlsafe(16)
            print(f"token of this run: {token}", file=sys.stderr, flush=True)

    def ready(addresses: Mapping[str, tuple[str, int]]) -> None:
        for address, (where, number) in addresses.items():
            print(f"{printable(address)} is served at TCPIP0::{where}::{number}::SOCKET", flush=True)
        if token is not None:
            print(
                "a client's first line must be XBAR:TOKEN <token>; ours say it where XBARLAB_TOKEN is set", flush=True
            )
        print(f"chip {printable(bench.content.chip.profile)}, seed {bench.seed}; Ctrl-C ends it", flush=True)

    try:
        serve_forever(bench, host, port, token=token, rate=rate, ready=ready)
    except HostError as error:
        raise RefusedError(str(error)) from error


_PATIENCE = 10.0  # s


def connect_probes(name: str, device: str, *, host: str, port: int | None, token: str | None = None) -> None:
    """Put the probes of a served bench on a device.

    Parameters
    ----------
    name : path of its bench file, or a shipped one
    port : of its instrument; ``None``: that of the address in the file
    token : what it wants to see first

    Raises
    ------
    RefusedError
        The bench has no such device, or nobody serves it.
    """
    from ...mockhw.bench.file import BenchFileError, addresses_of, load_bench_file

    try:
        bench = load_bench_file(find_bench(name))
    except BenchFileError as error:
        raise RefusedError(str(error)) from error
    if bench.hand is None:
        raise RefusedError(f"bench {name} has no hand: its devices are tied by a matrix, or sit on a board")
    if device not in bench.hand.devices:
        raise RefusedError(f"bench {name}: {unknown('device', device, bench.hand.devices)}")
    if port is None:
        found = re.search(r"::(\d+)::SOCKET$", next(iter(addresses_of(bench)), ""))
        if found is None:
            raise RefusedError(f"bench {name} has no port in its address: say where it is served with --port")
        port = int(found[1])
    first = f"XBAR:TOKEN {token}\n" if token else ""
    try:
        with socket.create_connection((host, port), timeout=_PATIENCE) as line:
            line.sendall(f"{first}SIM:PROB '{device}';:SYST:ERR?\n".encode())
            said = line.makefile("rb").readline().decode("latin-1").strip()
    except OSError as error:
        raise RefusedError(f"no bench is served at {host}, port {port}: xbarlab mock serve {name}") from error
    if not said.lstrip("+").startswith("0"):
        raise RefusedError(
            f"the bench at {host}, port {port} did not move its probes: {printable(said) or 'no answer'}"
        )
