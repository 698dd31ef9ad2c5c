"""A picture of a running network, docs/network.svg: `python -m lab.live.picture docs/network.svg`.

The nodes are real, and so is the screen, which needs no terminal here. The lines of SCRIPT go
to the conductor, as if they had been typed at the prompt.
"""

import asyncio
import queue
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from textual.pilot import Pilot

from lab.live.launcher import Settings
from lab.live.live import FOUNDING, Conductor, finish
from lab.live.screen import Screen
from lab.live.words import Line
from lab.nodes.processes import ROOT

SCRIPT = ("evil 9 withhold", "3 /send 5 100", "wait 15", "kill 4", "partition 1-5 6-10", "slow 2 200ms",
          "wait 30", "tree")
SIZE = (100, 34)
"""Columns and rows."""
SEED = 7
REDRAW_SECONDS = 1.0
"""Seconds for the screen to show the result of the last command."""


def take_picture(settings: Settings, script: Sequence[str], size: tuple[int, int], patience: float) -> str:
    """The SVG of the screen after these commands; TimeoutError if they take longer than `patience`, in seconds."""
    news: queue.SimpleQueue[Line] = queue.SimpleQueue()
    done: list[str] = []

    def on_line(line: Line) -> None:
        if line.kind == "command":
            done.append(line.text)
        news.put(line)

    conductor = Conductor(settings, ROOT / "run" / "network-keys", on_line, lambda: screen.log_columns)
    screen = Screen(conductor, news)

    async def watch(pilot: Pilot[None]) -> str:
        deadline = time.monotonic() + patience
        while len(done) < len(script):
            if time.monotonic() > deadline or conductor.wait(0):
                raise TimeoutError(conductor.error or f"only {len(done)} of {len(script)} commands were carried out")
            await pilot.pause(0.1)
        await pilot.pause(REDRAW_SECONDS)
        return screen.export_screenshot(title=f"make network STAGE={settings.stage} N={settings.nodes}")

    async def show() -> str:
        async with screen.run_test(size=size) as pilot:
            return await watch(pilot)

    for line in script:
        conductor.lines.put(line)
    conductor.start()
    try:
        return asyncio.run(show())
    finally:
        finish(conductor)


def main() -> None:
    """Take the picture of the README."""
    founding = tuple(word for name, value in FOUNDING[5].items() for word in (f"--{name}", f"{value / 1000:g}"))
    picture = take_picture(Settings(5, 10, SEED, founding), SCRIPT, SIZE, patience=300)
    Path(sys.argv[1]).write_text("\n".join(line.rstrip() for line in picture.splitlines()) + "\n", "utf-8")


if __name__ == "__main__":
    main()
