"""Puts the tables of costs into docs/scale.md. `python -m tests.house.scale` writes them.

The page is written by hand, except for what stands between a line that names a table and the next line that ends one.
"""

import re

from lab.experiments.costs import STAGES, make_tables
from lab.experiments.frames import measure_sizes
from tests.fixtures import kept_key
from tests.house.test_house import ROOT

PAGE = ROOT / "docs" / "scale.md"
COMMAND = "python -m tests.house.scale"
TABLE = re.compile(r"(?P<begin><!-- table of (?P<name>\w+) -->\n).*?(?P<end><!-- end of the table -->)", re.DOTALL)


def make_page(page: str) -> str:
    """The page with the tables as they should be."""
    tables = make_tables({stage: measure_sizes(stage, [kept_key(number) for number in (1, 2, 3)]) for stage in STAGES})
    return TABLE.sub(lambda found: f"{found['begin']}\n{tables[found['name']]}\n\n{found['end']}", page)


def main() -> None:
    """Write the page."""
    PAGE.write_text(make_page(PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
