"""A node as a job of a real shell on a terminal: in the background, in front, and back."""

import os
import pty
import re
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import Launch
from tests.processes import ROOT, eventually

NODE = f"{sys.executable} -m stage1_chat --peer none"
PROMPT = r"\x1b\[\?2004h(?s:.*)>"
"""The escape sequence by which a new prompt is seen: it switches on the marking of pastes."""


class Shell:
    """bash with job control on a terminal of its own."""

    def __init__(self) -> None:
        pid, self._keyboard = pty.fork()
        if pid == 0:
            os.chdir(ROOT)
            os.environ.update(TERM="xterm", PS1="$ ")
            os.execvp("bash", ["bash", "--norc", "--noediting", "-i"])
        self._pid = pid
        self.output = ""

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self._keyboard, keys.encode())

    def read(self) -> str:
        """All output so far."""
        while select.select([self._keyboard], [], [], 0.02)[0]:
            self.output += os.read(self._keyboard, 65_536).decode(errors="replace")
        return self.output

    def see(self, pattern: str) -> re.Match[str]:
        """Wait until `pattern` is printed, after what was seen before."""
        found: list[re.Match[str]] = []

        def is_there() -> bool:
            found.extend(re.finditer(pattern, self.read()))
            return bool(found)

        eventually(is_there, state=lambda: self.output)
        self.output = self.output[found[0].end():]
        return found[0]

    def job(self) -> int:
        """The process id of the node that was started last."""
        self.press("echo job=$!.\n")
        return int(self.see(r"job=(\d+)\.")[1])

    def foreground(self) -> int:
        """The process group that has the terminal."""
        return os.tcgetpgrp(self._keyboard)

    def close(self) -> None:
        """End the shell and all its jobs."""
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if os.getsid(int(folder.name)) == self._pid:
                    os.kill(int(folder.name), signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._keyboard)


@pytest.fixture
def shell() -> Iterator[Shell]:
    """A shell."""
    shell = Shell()
    yield shell
    shell.close()
    print(shell.output)


def is_stopped(pid: int) -> bool:
    """Has a signal of job control stopped this process?"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def is_asleep(pid: int) -> bool:
    """Is this process waiting at each of many looks?"""
    states = {stat.read_text().rpartition(")")[2].split()[0] for _ in range(50)
              for stat in Path(f"/proc/{pid}/task").glob("*/stat")}
    return states == {"S"}


def stop_by_key(shell: Shell) -> None:
    """Ctrl-Z."""
    shell.press("\x1a")


def stop_by_signal(shell: Shell) -> None:
    """SIGSTOP, which the node cannot handle."""
    os.kill(shell.foreground(), signal.SIGSTOP)


def expect_talk(shell: Shell, launch: Launch, address: str, read: Callable[[], str]) -> None:
    """Check that a peer can join the node and chat with it."""
    other = launch(1, "--peer", address)
    other.type("are you there")
    eventually(lambda: "are you there" in read(), state=read)


@pytest.mark.parametrize("options", ["--daemon", "", "--json --daemon"])
def test_in_the_background_it_runs_on_and_ends_cleanly(shell: Shell, launch: Launch, options: str) -> None:
    shell.press(f"{NODE} {options} &\n")
    address = shell.see(r"(127\.0\.0\.1:\d+)")[1]
    expect_talk(shell, launch, address, shell.read)
    assert "\x1b" not in shell.output, "no prompt is drawn over that of the shell"
    pid = shell.job()
    assert not is_stopped(pid)
    shell.press(f"kill {pid}; wait {pid}; echo status=$?.\n")
    assert shell.see(r"status=(\d+)\.")[1] == "0"


def test_in_the_background_it_runs_on_with_its_output_in_a_file(shell: Shell, launch: Launch, tmp_path: Path) -> None:
    log = tmp_path / "log"
    shell.press(f"{NODE} --daemon > {log} 2>&1 &\n")
    eventually(lambda: log.exists() and "listening on" in log.read_text(), state=shell.read)
    address = re.findall(r"listening on (\S+)", log.read_text())[0]
    expect_talk(shell, launch, address, log.read_text)
    assert not is_stopped(shell.job())


def test_a_job_that_comes_to_the_front_reads_what_is_typed(shell: Shell, launch: Launch) -> None:
    shell.press(f"{NODE} --daemon &\n")
    address = shell.see(r"listening on (\S+)")[1]
    other = launch(1, "--peer", address)
    shell.press("fg\nhello from the front\n")
    other.wait_for("chat", text="hello from the front")


@pytest.mark.parametrize(("stop", "meanwhile"), [(stop_by_key, "bg; "), (stop_by_signal, "bg; "), (stop_by_signal, "")],
                         ids=["Ctrl-Z, bg", "signal, bg", "signal"])
def test_a_job_that_goes_to_the_background_leaves_the_terminal_and_gets_its_prompt_back_later(
        shell: Shell, launch: Launch, stop: Callable[[Shell], None], meanwhile: str) -> None:
    shell.press(f"{NODE} --daemon\n")
    address = shell.see(r"listening on (\S+)")[1]
    shell.see(PROMPT)
    pid = shell.foreground()
    shell.press("dra")
    shell.see("dra")
    stop(shell)
    shell.see("Stopped")
    shell.press(f"{meanwhile}echo in the back\n")
    shell.see("in the back\r\n")
    if meanwhile:
        other = launch(1, "--peer", address)
        other.type("are you there")
        shell.see("are you there")
        assert "\x1b" not in shell.output
        eventually(lambda: is_asleep(pid))
    shell.press("fg\n")
    shell.see(PROMPT)
    if not meanwhile:
        other = launch(1, "--peer", address)
    shell.press("ft\n")
    other.wait_for("chat", text="draft")
    shell.press("/quit\n")
    shell.see(r"\$ $")
    shell.press("echo status=$?.\n")
    assert shell.see(r"status=(\d+)\.")[1] == "0"


TAKER = ("import os, signal as s; s.signal(s.SIGTTOU, s.SIG_IGN); s.pthread_sigmask(s.SIG_BLOCK, [s.SIGUSR1]);"
         "print(chr(33) + chr(33)); s.sigwait([s.SIGUSR1]); node = os.tcgetpgrp(0); os.tcsetpgrp(0, os.getpgrp());"
         "s.sigwait([s.SIGUSR1]); os.tcsetpgrp(0, node)")
"""A program that takes the terminal at one signal, and gives it back at the next. It prints !! when it is ready."""


def test_a_node_leaves_the_terminal_to_another_job_that_takes_it(shell: Shell) -> None:
    shell.press(f'{sys.executable} -c "{TAKER}" &\n')
    shell.see("!!")
    taker = shell.job()
    shell.press(f"{NODE}\n")
    shell.see(PROMPT)
    node = shell.foreground()
    os.kill(taker, signal.SIGUSR1)
    eventually(lambda: shell.foreground() == taker)
    shell.press("not for the node")
    eventually(lambda: is_asleep(node))
    os.kill(taker, signal.SIGUSR1)
    shell.see(PROMPT)


def test_a_question_waits_until_the_job_is_in_front(shell: Shell) -> None:
    shell.press(f"{sys.executable} -m stage1_chat &\n")
    shell.see("IP address of a peer")
    shell.press("fg\n\n")
    shell.see("founded a network")


def test_a_dumb_terminal_gets_no_escape_sequences_and_does_not_stop_the_node(shell: Shell) -> None:
    shell.press(f"TERM=dumb {NODE}\n")
    shell.see("founded a network")
    shell.press("\x1a")
    shell.see("Stopped")
    shell.press("bg\n")
    pid = shell.job()
    eventually(lambda: is_asleep(pid))
    shell.press("fg\n")
    shell.see(r"\$ fg\r\n.*\r\n")
    shell.press("hello\n")
    shell.see("hello\r\nhello\r\n")
    shell.press("/quit\n")
    assert "\x1b" not in shell.see(r"(?s).*\$ $")[0]


def test_under_nohup_a_hangup_does_not_end_a_node(shell: Shell, tmp_path: Path) -> None:
    shell.press(f"nohup {NODE} --daemon > {tmp_path / 'log'} &\n")
    eventually(lambda: (tmp_path / "log").exists() and "founded" in (tmp_path / "log").read_text(), state=shell.read)
    pid = shell.job()
    os.kill(pid, signal.SIGHUP)
    os.kill(pid, signal.SIGTERM)
    shell.press(f"wait {pid}; echo status=$?.\n")
    assert shell.see(r"status=(\d+)\.")[1] == "0", "ended by SIGTERM, cleanly"
