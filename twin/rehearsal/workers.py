"""Draws in parallel: processes of their own, one per core, begun anew so that they share nothing."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .draw import Task
    from .record import Draw

GRACE = 15.0
"""Seconds that draws have to end in when they are interrupted."""

# In a worker: whoever was interrupted begins no other draw.
_ENDING = threading.Event()


def run_draws(tasks: Sequence[Task], *, jobs: int, keep: bool) -> Iterator[Draw]:
    """Carry out draws and yield each as it is done, in no order.

    Parameters
    ----------
    jobs : processes at a time; 0 carries them out in this process
    keep : leave the folders of the draws
    """
    if jobs == 0:
        _ENDING.clear()
        for task in tasks:
            yield _one(task, keep)
        return
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        min(jobs, len(tasks)), mp_context=multiprocessing.get_context("spawn"), initializer=_begin_worker
    )
    try:
        futures = {pool.submit(_one, task, keep): task for task in tasks}
        for future in as_completed(futures):
            yield _result(future, futures[future])
        pool.shutdown()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        # Their folders are swept up once they have gone; nothing real is on their benches.
        workers = set(multiprocessing.active_children()) - before
        for worker in workers:
            worker.terminate()
        until = time.monotonic() + GRACE
        for worker in workers:
            worker.join(max(0.0, until - time.monotonic()))
            worker.kill()
            worker.join()
        raise


def _result(future: Future[Draw], task: Task) -> Draw:
    try:
        return future.result()
    except BrokenProcessPool:
        from .record import Draw

        failure = "its process was killed (was there too little memory? fewer --jobs need less)"
        return Draw(number=task.number, seed=task.seed, chip=task.chip, failure=failure)


def _begin_worker() -> None:
    """Leave Ctrl-C to the process that waits for this one, and the other cores to other draws."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def _one(task: Task, keep: bool) -> Draw:
    from .draw import run_draw

    if _ENDING.is_set():  # it had been handed over before the pool was told to end
        raise KeyboardInterrupt
    try:
        return run_draw(task)
    except KeyboardInterrupt:
        _ENDING.set()
        raise
    finally:
        if not keep:
            shutil.rmtree(task.folder, ignore_errors=True)
