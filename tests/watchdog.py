"""Ends the process that runs the tests if a test hangs in a way that nothing inside that process can end.

pytest-timeout's signal ends most tests that hang, and lets them clean up. It does not end a property test, because
Hypothesis mistakes the timeout for the failure of an example, and runs the example again. Nor does it end code that
never returns to Python, such as a regular expression or a call that holds the interpreter. Only another process can
end all of these.

    python watchdog.py PID

Each line on standard input is `SECONDS NAME`: from now on the test NAME has SECONDS seconds. A line with 0 seconds
says that the test is over. The end of the input ends the watchdog.
"""

import os
import select
import signal
import subprocess
import sys

GRACE_SECONDS = 5.0
"""Seconds after the limit of pytest-timeout in which a test may clean up and report its failure."""


class Watchdog:
    """The watchdog as the process that runs the tests sees it. It is started with the first test."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def watch(self, name: str, seconds: float) -> None:
        """From now on the test `name` has `seconds` seconds, and then the time to clean up."""
        self._tell(f"{seconds + GRACE_SECONDS} {name}")

    def rest(self) -> None:
        """The test is over."""
        self._tell("0 -")

    def end(self) -> None:
        """The tests are over: end the process."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait()
            self._process = None

    def _tell(self, line: str) -> None:
        if self._process is None:
            self._process = subprocess.Popen([sys.executable, "-S", __file__, str(os.getpid())], stdin=subprocess.PIPE,
                                             bufsize=0)
        assert self._process.stdin is not None
        self._process.stdin.write(ascii(line)[1:-1].encode() + b"\n")


def main(pid: int) -> None:
    """Be the watchdog of the process `pid`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests
    seconds, name, waiting = 0.0, "", b""
    while select.select([0], [], [], seconds or None)[0]:
        news = os.read(0, 65_536)
        if not news:
            return
        *lines, waiting = (waiting + news).split(b"\n")
        for line in lines:
            words, _, name = line.decode().partition(" ")
            seconds = float(words)
    sys.stderr.write(f"\nFAILED {name} - hangs: ended after {seconds:g} seconds, with the process that ran it\n")
    sys.stderr.flush()
    os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]))
