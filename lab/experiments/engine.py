"""Who does the runs of a sweep: processes on all cores of this machine, or a Dask cluster."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager

from lab.bench.machine import count_cores
from lab.experiments.cluster import open_cluster


def open_engine(is_alone: bool = False, cluster: str | None = None) -> AbstractContextManager[Executor]:
    """An executor for the runs. `cluster` is the address of a Dask scheduler. Runs that need a machine to themselves
    stay on this one: workers of a cluster may share a machine."""
    return open_processes(is_alone) if cluster is None or is_alone else open_cluster(cluster)


@contextmanager
def open_processes(is_alone: bool = False) -> Iterator[Executor]:
    """An executor over all cores, or for one run at a time. What still runs when this is left by an exception, such as
    Ctrl-C, is ended: its rows would be lost anyway."""
    workers = 1 if is_alone else count_cores()
    context = multiprocessing.get_context("spawn")  # a fork would copy locks that threads hold, without the threads
    executor = ProcessPoolExecutor(workers, context, initializer=_begin_worker)
    try:
        yield executor
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        executor.shutdown()


def _begin_worker() -> None:
    """Leave Ctrl-C to the main process, and end with it, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker is started by the main process"
    parent.join()
    os._exit(1)
