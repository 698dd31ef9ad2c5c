"""Long output goes through a pager if somebody reads it on a terminal."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from lab.surroundings import takes_escapes


def show(text: str) -> None:
    """Print `text`, through a pager if standard output is a terminal."""
    pager = find_pager() if takes_escapes(sys.stdout) else []
    if not pager:
        print(text, end="", flush=True)
        return
    encoding = sys.stdout.encoding
    # -F: less ends at once if all fits on the screen. -X: the text stays there afterwards.
    environment = {**os.environ, "LESS": os.environ.get("LESS", "FRX")}
    if encoding.lower() == "utf-8":
        environment["LESSCHARSET"] = "utf-8"
    subprocess.run(pager, input=text.encode(encoding, "replace"), env=environment, check=False)


def find_pager() -> list[str]:
    """The words of the pager's command line: that of PAGER if it can be run, otherwise less; empty if there is none."""
    for wish in (os.environ.get("PAGER", ""), "less"):
        try:
            words = shlex.split(wish)
        except ValueError:  # a quotation mark without its other half
            continue
        if words and shutil.which(words[0]):
            # -R lets colours through, whatever LESS says.
            return [*words, "-R"] if Path(words[0]).name == "less" else words
    return []
