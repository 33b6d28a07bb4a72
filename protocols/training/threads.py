"""How many threads the host's arithmetic takes while it trains."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec


@contextmanager
def one_thread() -> Generator[None]:
    """Let torch and BLAS work in the calling thread: these networks are too small to share out.

    Threads wait for each other; on a machine whose cores are busy, waiting made a step ten times slower. numpy's BLAS
    can be told only where ``threadpoolctl`` is installed; without it, OPENBLAS_NUM_THREADS=1 in the
    environment does the same.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ExitStack() as stack:
            if find_spec("threadpoolctl") is not None:
                stack.enter_context(import_module("threadpoolctl").threadpool_limits(1, "blas"))
            yield
    finally:
        torch.set_num_threads(before)
