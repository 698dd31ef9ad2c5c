"""A Dask cluster that does the runs of a sweep: a scheduler, and workers on as many machines as there are.

Dask is an extra, `[cluster]` of pyproject.toml, so it is imported only when it is needed.
"""

import hashlib
import platform
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from lab.nodes.processes import ROOT

CONNECT_SECONDS = 10
"""How long a scheduler may take to answer, and then the first worker to appear."""

_ALONE = threading.Lock()
"""Held by a run: it may swap functions of the whole process (`rules_of`), and a worker may have several threads."""


class ClusterError(Exception):
    """The cluster cannot do the runs. The message is one line for the user."""


@contextmanager
def open_cluster(address: str) -> Iterator[Executor]:
    """An executor over all workers of the scheduler at `address`, such as tcp://scheduler:8786. What is left to do when
    this ends is cancelled. Raises ClusterError."""
    try:
        from distributed import Client, KilledWorker
    except ImportError:
        raise ClusterError("a cluster needs Dask, which is not installed:"
                           " .venv/bin/python -m pip install 'dask[distributed]'") from None
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
    except OSError:
        raise ClusterError(f"no Dask scheduler answers at {address}") from None
    except ValueError:
        raise ClusterError(f"{address} is not an address like tcp://scheduler:8786") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
            yield Checking(client.get_executor(pure=False))  # type: ignore[no-untyped-call]
        except TimeoutError:
            raise ClusterError(f"the Dask scheduler at {address} has no workers") from None
        except CancelledError:
            raise ClusterError(f"the Dask scheduler at {address} is gone; the same command goes on from here") from None
        except KilledWorker:
            raise ClusterError(f"several workers of {address} ended while doing the same run; their logs say"
                               " more") from None
        except (ImportError, RuntimeError) as error:
            missing = error.__cause__ or error  # an ImportError at the scheduler is the cause of what Dask raises here
            if not isinstance(missing, ImportError):
                raise
            raise ClusterError(f"the scheduler or a worker of {address} cannot load the module {missing.name}; start"
                               " both in the project's folder, where everything is installed") from None


class Checking(Executor):
    """Hands each run to another executor, together with the version of the code that it must be done with."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._code = find_code()

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **named: Any) -> "Future[Any]":
        """Let a worker do it."""
        return self._executor.submit(do_with_code, self._code, work, *arguments, **named)


def do_with_code(code: str, work: Callable[..., Any], *arguments: Any) -> Any:
    """Do a run on a worker. Raises ClusterError if the worker has different code."""
    if find_code() != code:
        raise ClusterError(f"the worker on {platform.node()} has different code from this machine: give both the same,"
                           " and start the worker again")
    with _ALONE:
        return work(*arguments)


@lru_cache
def find_code() -> str:
    """What tells versions of the code apart, as it was when this was first asked: a hash of all files of the project
    that an experiment may run. It takes a few milliseconds, and needs no git, which a container may lack."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in ("common", "lab", "stage*") for path in ROOT.glob(f"{folder}/**/*.py")):
        digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()
