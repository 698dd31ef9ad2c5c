"""The node of one stage as one text, in reading order: `python -m lab.read`, or `make read STAGE=5`.

- What stage 5 runs comes from five folders, and a method of its node from up to six classes. In this text each method
  has one place: the version that runs, and below it the earlier ones that it calls through `super()`. Each piece is
  marked with the stage that it comes from. Imports are left out, and so is all that is replaced.
- The parts of the node, such as the ring, are in the chapter on their subject. `lab/read/chapters.py` has the order.
- `ALL=1` adds what the stage runs of common/, as a last chapter.
- `HTML=out.html` writes a page instead, to print or to read on a phone.

On a terminal the output goes through $PAGER, or less.
"""

import sys
from collections.abc import Sequence
from io import StringIO

from rich.console import Console

from common.advice import describe_file_error
from common.console import Options, read_path
from lab.compare.stagecode import read_stage
from lab.pager import show
from lab.read.html import reading_page
from lab.read.reading import Reading, make_reading, read_all
from lab.read.terminal import Drawing
from lab.surroundings import columns, has_colours

WIDTH = 128
"""The width of output that does not go to a terminal; COLUMNS=100 sets another. The longest lines of code fit."""

NARROWEST = 30
"""The narrowest output that can hold a line of code."""


def make_options() -> Options:
    """The options of the command."""
    options = Options(prog="python -m lab.read", description="Print the whole node of a stage as one text.",
                      allow_abbrev=False)
    options.add_argument("--stage", type=read_stage, default=5, metavar="N", help="a stage, 1 to 5 (default: 5)")
    options.add_argument("--all", action="store_true", help="with the code of common/ that it runs")
    options.add_argument("--html", type=read_path, metavar="FILE", help="write a page instead")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the text; the exit status is 2 if the arguments are wrong or the page cannot be written."""
    parser = make_options()
    options = parser.parse_args(arguments)
    reading = make_reading(read_all(), options.stage, options.all)
    if options.html is None:
        show(draw(reading))
        return 0
    try:
        options.html.write_text(reading_page(reading), "utf-8")
    except OSError as error:
        parser.exit(2, f"{parser.prog}: cannot write {options.html}: {describe_file_error(error)}\n")
    print(f"{options.html} written")
    return 0


def draw(reading: Reading) -> str:
    """The text for the terminal, in colours if there is one."""
    width = max(columns(sys.stdout, WIDTH), NARROWEST)
    console = Console(file=StringIO(), force_terminal=has_colours(sys.stdout), width=width)
    Drawing(console, reading).draw()
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()
