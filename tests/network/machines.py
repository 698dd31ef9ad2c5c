"""Machines on one cable. Each is a network namespace of Linux, inside namespaces that end with their starter.

    with Apart(way_in(), "tests.network.scenes_on_machines", "told") as scene:  # in a test: a program begins, apart
        print(scene.read())

    machines = Machines(5)                                # in that program
    node = NodeProcess(2, ..., through=machines.at(3))    # a node on machine 3, whose address is `address(3)`
    machines.unplug(3)

                        lan, a bridge: 10.77.0.254, and for each machine the address of the proxy in front of it
       ┌─────────────┬───────┴─────┬─────────────┬─────────────┐
    machine 1     machine 2     machine 3     machine 4     machine 5        each has an eth0: 10.77.0.1, 10.77.0.2, …

The machine that runs the tests is not touched: even the bridge is in a network namespace of its own. All processes are
in one PID namespace. When its first process ends, the kernel ends all others. With the last process the namespaces
disappear, and all that is in them. So nothing is left behind, whatever happens to the tests.
"""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Self

from tests.processes import ROOT

NETWORK = "10.77.0"

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
"""Where `ip` may be. The PATH of ordinary users often lacks the last two folders."""

APART = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"]

WAYS = [APART, [APART[0], "--user", "--map-root-user", *APART[1:]]]
"""Root needs no more than this. Other users become root of a user namespace, if the system lets them."""

TRIAL = """mount -t tmpfs none /run && ip netns add a && ip link add lan type bridge &&
ip link add name a type veth peer name eth0 netns a"""


class NotPossible(Exception):
    """This machine does not allow namespaces. The message says in one line what is missing."""


def way_in() -> list[str]:
    """The command that starts another command in namespaces of its own. NotPossible if a trial shows that it fails."""
    for program in ("unshare", "ip"):
        if shutil.which(program, path=PATH) is None:
            raise NotPossible(f"there is no `{program}`, with which network namespaces are made")
    for way in WAYS:
        trial = subprocess.run([*way, "sh", "-c", TRIAL], env={**os.environ, "PATH": PATH}, stdin=subprocess.DEVNULL,
                               capture_output=True, text=True)
        if trial.returncode == 0:
            return way
    raise NotPossible(f"no network namespaces: {' '.join(trial.stderr.split())}")


class Apart:
    """A Python program of this project, in namespaces of its own. It ends with this object, or with this process."""

    def __init__(self, way: Sequence[str], module: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*way, sys.executable, "-m", module, *arguments], cwd=ROOT, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "PATH": PATH, "OUTSIDE": os.readlink("/proc/self/ns/net")})
        assert self.process.stdin and self.process.stdout
        self.input, self.output = self.process.stdin, self.process.stdout

    def read(self) -> tuple[int, str]:
        """Wait for the program's end. Return its exit status, and all that it has written."""
        text = self.output.read()
        return self.process.wait(), text

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.input.close()
        self.process.wait()
        self.output.close()


def end_with_input() -> None:
    """End this process, and all others in its namespace, when its standard input ends: then its starter is gone."""
    def wait() -> None:
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def address(number: int) -> str:
    """The address of a machine. Machines are numbered from 1."""
    return f"{NETWORK}.{number}"


def proxy_address(number: int) -> str:
    """The address at which a proxy in front of that machine can listen."""
    return f"{NETWORK}.{100 + number}"


class Machines:
    """The machines and the cable. Only for a program that runs in an `Apart`."""

    def __init__(self, count: int) -> None:
        if os.readlink("/proc/self/ns/net") == os.environ.get("OUTSIDE"):
            raise RuntimeError("this is not a namespace of its own, and the machine's interfaces must not be touched")
        _run("mount -t tmpfs none /run")  # where `ip netns` keeps names; only here
        _run("ip link set lo up")
        _run("ip link add lan type bridge")
        _run(f"ip address add {NETWORK}.254/24 dev lan")
        _run("ip link set lan up")
        for number in range(1, count + 1):
            self._add(number)

    def _add(self, number: int) -> None:
        name = f"m{number}"
        _run(f"ip netns add {name}")
        _run(f"ip link add {name} type veth peer name eth0 netns {name}")
        _run(f"ip link set {name} master lan up")
        _run(f"ip address add {proxy_address(number)}/24 dev lan")
        _run(f"ip -n {name} link set lo up")
        _run(f"ip -n {name} address add {address(number)}/24 dev eth0")
        _run(f"ip -n {name} link set eth0 up")

    def at(self, number: int) -> list[str]:
        """The words to put in front of a command, to run it on that machine."""
        return ["ip", "netns", "exec", f"m{number}"]

    def unplug(self, number: int) -> None:
        """Pull out the machine's cable: no connection ends, but nothing arrives any longer."""
        _run(f"ip link set m{number} down")

    def plug(self, number: int) -> None:
        """Plug the cable in again."""
        _run(f"ip link set m{number} up")


def _run(command: str) -> None:
    subprocess.run(command.split(), check=True, stdin=subprocess.DEVNULL)
