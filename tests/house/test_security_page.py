"""docs/security.md names tests as proof: each of them exists."""

import re
from pathlib import Path

from tests.processes import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text()


def find_tests(file: Path) -> set[str]:
    """The names of the tests in this file."""
    return set(re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE))


def test_every_test_that_is_named_exists() -> None:
    checked = 0
    for cell in re.findall(r"(`\w+/test_[^|]*)", PAGE):
        file = ""
        for name in re.findall(r"`(\w+/test_\w+\.py::test_\w+|test_\w+)`", cell):
            file, _, test = name.partition("::") if "::" in name else (file, "", name)
            assert test in find_tests(ROOT / "tests" / file), name
            checked += 1
    assert checked > 40, "the page names more tests than that"


def test_the_page_says_what_is_not_defended() -> None:
    limits = PAGE.partition("## What is not defended")[2].lower()
    for limit in ("encryption", "eclipse", "half of the stake", "genesis"):
        assert limit in limits, limit
