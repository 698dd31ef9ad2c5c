"""docs/scale.md has the tables that the code makes today."""

from lab.experiments.costs import TABLES
from tests.house.scale import COMMAND, PAGE, TABLE, make_page


def test_the_page_has_the_tables_of_today() -> None:
    page = PAGE.read_text("utf-8")
    assert [found["name"] for found in TABLE.finditer(page)] == list(TABLES)
    assert page == make_page(page), f"{COMMAND} brings docs/scale.md up to date"
