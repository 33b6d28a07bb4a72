"""Serve a mock bench on sockets, so that any program can drive its instruments like real ones."""

from __future__ import annotations

from collections.abc import Mapping

from ..instruments.errors import RefusedError
from .stations import find_bench, mock_bench


def serve_bench(name: str, *, host: str, port: int | None, seed: int | None) -> None:
    """Serve a bench file's instruments until Ctrl-C.

    Parameters
    ----------
    name : path of a bench file, or a shipped one
    port : port of the first instrument; 0: any free ones; ``None``: those of the addresses in the file
    seed : in place of the file's
    """
    from ..mockhw.tcp_host import HostError, serve_forever

    path = find_bench(name)
    bench = mock_bench(path, seed=seed)

    def ready(addresses: Mapping[str, tuple[str, int]]) -> None:
        for address, (where, number) in addresses.items():
            print(f"{address} is served at TCPIP0::{where}::{number}::SOCKET", flush=True)
        print(f"chip {bench.content.chip.profile}, seed {bench.seed}; Ctrl-C ends it", flush=True)

    try:
        serve_forever(bench, host, port, ready=ready)
    except HostError as error:
        raise RefusedError(str(error)) from error
