"""Serve a mock bench on sockets, so that any program can drive its instruments like real ones."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping
from contextlib import suppress

from ...common.errors import RefusedError
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
    from ...mockhw.bench.file import BenchFileError, load_bench_file
    from ...mockhw.front_ends.tcp_host import HostError, is_loopback, refuse_taken_ports, serve_forever

    path = find_bench(name)
    try:
        with suppress(BenchFileError):  # said below
            refuse_taken_ports([entry.address for entry in load_bench_file(path).instruments], host, port)
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
