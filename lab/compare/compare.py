"""What changes from one stage to the next: `python -m lab.compare`, or `make compare`.

- `make compare A=3 B=4` shows two stages side by side: each file next to the file of the same name, each function next
to its counterpart. Each piece is marked: new, changed, left alone, or no longer run. A function that overrides
one of an earlier stage is shown next to that one, wherever that is.
- `make compare A=3 B=4 WHOLE=1` shows both sides with all the code that they inherit from earlier stages: the code
that runs. All versions of a method are shown together, the latest first.
- `HIDE=1` leaves out the pieces that are left alone, and says how many there are.
- `make compare` prints a table of all stages.
- `HTML=out.html` writes a page instead.

The earlier stage is on the left. On a terminal the output goes through $PAGER, or less.
"""

import argparse
import sys
import textwrap
from collections.abc import Sequence
from html import escape
from io import StringIO
from typing import NamedTuple

from rich.console import Console

from common.advice import describe_file_error
from common.console import Options, read_path
from lab.compare.html import comparison_page, page
from lab.compare.terminal import Drawing
from lab.compare.inheritance import Inheritance
from lab.compare.pairing import Comparison, compare, stage_name
from lab.compare.stagecode import ClassCode, Stage, handlers_of, messages_of, read_stage, read_stages, tests_of
from lab.pager import show
from lab.surroundings import columns, has_colours

WIDTH = 160
"""The width of output that does not go to a terminal; COLUMNS=100 sets another."""

NARROWEST = 40
"""The narrowest output that can hold two columns."""

NODE = "PeeringNode"
"""The class from which the nodes of all stages inherit."""


def make_options() -> Options:
    """The options of the command."""
    options = Options(prog="python -m lab.compare", description="Show two stages side by side, or a table of all.",
                      allow_abbrev=False)
    options.add_argument("-A", type=read_stage, metavar="STAGE", help="a stage, 1 to 5")
    options.add_argument("-B", type=read_stage, metavar="STAGE", help="the stage to compare it with")
    options.add_argument("--html", type=read_path, metavar="FILE", help="write an HTML page instead")
    options.add_argument("--whole", action="store_true", help="with the code inherited from earlier stages")
    options.add_argument("--hide", action="store_true", help="on a terminal: only count the pieces that are left alone")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare. The exit status is 2 if the arguments are wrong or the page cannot be written."""
    parser = make_options()
    options = parser.parse_args(arguments)
    if (options.A is None) != (options.B is None):
        parser.error("A and B belong together, as in A=3 B=4; give neither to get the table of all stages")
    stages = read_stages()
    if options.html is not None:
        try:
            options.html.write_text(make_page(stages, options), "utf-8")
        except OSError as error:
            parser.exit(2, f"{parser.prog}: cannot write {options.html}: {describe_file_error(error)}\n")
        print(f"{options.html} written")
    else:
        show(draw(stages, options))
    return 0


# --- what is shown ------------------------------------------------------------------------------

def draw(stages: dict[int, Stage], options: argparse.Namespace) -> str:
    """The comparison or the table as text, in colours if it goes to a terminal."""
    width = max(columns(sys.stdout, WIDTH), NARROWEST)
    if options.A is None:
        return draw_table(stages, width)
    console = Console(file=StringIO(), force_terminal=has_colours(sys.stdout), width=width)
    Drawing(console, compare_as_asked(stages, options), options.hide).draw()
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def compare_as_asked(stages: dict[int, Stage], options: argparse.Namespace) -> Comparison:
    """Compare the two stages of the options."""
    earlier, later = sorted((options.A, options.B))
    return compare(stages, earlier, later, options.whole)


def make_page(stages: dict[int, Stage], options: argparse.Namespace) -> str:
    """The comparison or the table as a page."""
    if options.A is None:
        return table_page(stages)
    return comparison_page(compare_as_asked(stages, options))


# --- the table of all stages --------------------------------------------------------------------

class Facts(NamedTuple):
    """What a stage consists of."""

    files: list[str]
    lines: int
    messages: list[str]
    """The types that it declares, including those that it redefines."""
    handlers: list[str]
    hooks: list[str]
    """The methods of its nodes that override one of an earlier stage, not counting constructors."""
    tests: list[str]

    def figures(self) -> list[int]:
        """The number of items in each list."""
        return [member if isinstance(member, int) else len(member) for member in self]


def find_facts(stages: dict[int, Stage], number: int) -> Facts:
    """What one stage consists of."""
    stage = stages[number]
    lines = sum(len(file.text.splitlines()) for file in stage.files.values())
    return Facts(list(stage.files), lines, messages_of(stage), handlers_of(stage, stages),
                 find_hooks(stages, number), tests_of(stage))


def find_hooks(stages: dict[int, Stage], number: int) -> list[str]:
    """The methods of a stage's nodes that override one of an earlier stage."""
    inheritance = Inheritance(stages)

    def is_node(one: ClassCode) -> bool:
        return inheritance.lineage_of(one)[-1].name == NODE

    def is_hook(name: str, one: ClassCode) -> bool:
        earlier = [other for other in inheritance.lineage_of(one) if other.stage < number]
        return one.pieces[name].is_method and name != "__init__" and any(name in other.pieces for other in earlier)

    classes = [one for file in stages[number].files.values() for one in file.classes.values() if is_node(one)]
    return list(dict.fromkeys(name for one in classes for name in one.pieces if is_hook(name, one)))


HEADINGS = ("stage", "files", "lines", "messages", "handlers", "hooks overridden", "tests")
LEGEND = ("Messages: those declared here, including redefined ones. Handlers: methods on_TYPE. Hooks overridden:"
          " methods of the nodes that replace one of an earlier stage or add to it. Tests: functions in the stage's"
          " folder under tests/; many of them run once for each of several cases.")
NAMED = ("files", "messages", "handlers", "hooks")
"""The lists that are shown below the table."""


def draw_table(stages: dict[int, Stage], width: int) -> str:
    """The table of all stages as text, and below it the names that the numbers count."""
    facts = {number: find_facts(stages, number) for number in stages}
    rows = [HEADINGS, *([stage_name(number), *map(str, one.figures())] for number, one in facts.items())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = ["  ".join([row[0].ljust(widths[0]), *(cell.rjust(wide) for cell, wide in zip(row[1:], widths[1:],
                                                                                        strict=True))])
             for row in rows]
    lists = [line for number, one in facts.items() for line in ["", stage_name(number), *list_names(one, width)]]
    return "\n".join([*table, "", *textwrap.wrap(LEGEND, width), *lists, ""])


def list_names(facts: Facts, width: int) -> list[str]:
    """The names in the lists of one stage, wrapped to `width`."""
    return [line for name in NAMED if getattr(facts, name)
            for line in textwrap.wrap(", ".join(getattr(facts, name)), width, initial_indent=f"  {name:<9} ",
                                      subsequent_indent=" " * 12, break_on_hyphens=False)]


def table_page(stages: dict[int, Stage]) -> str:
    """The table of all stages as a page."""
    facts = {number: find_facts(stages, number) for number in stages}
    head = "".join(f"<th>{heading}</th>" for heading in HEADINGS)
    rows = ["<tr>" + "".join(f"<td>{cell}</td>" for cell in (stage_name(number), *one.figures())) + "</tr>"
            for number, one in facts.items()]
    lists = [f"<dt>Stage {stage_name(number)}</dt>" + "".join(
        f"<dd><b>{name}:</b> {escape(', '.join(getattr(one, name)))}</dd>" for name in NAMED if getattr(one, name))
        for number, one in facts.items()]
    return page("The five stages", ["<h1>The five stages</h1>", '<div class="scroll"><table>',
                                    f"<tr>{head}</tr>", *rows, "</table></div>", f"<p>{LEGEND}</p>",
                                    "<dl>", *lists, "</dl>"])
