"""What the linter of prose reads, and that it finds each word of its list where somebody once wrote it."""

import re

import pytest

from tests.house.prose import WORDS, Unused, as_pattern, prose_of_code, prose_of_page, prose_of_settings


@pytest.mark.parametrize("unused", WORDS, ids=lambda one: one.pattern)
def test_each_word_of_the_list_is_found_where_somebody_wrote_it(unused: Unused) -> None:
    pattern = rf"\b{as_pattern(unused)}\b"
    assert re.search(pattern, unused.example) and not re.search(pattern, unused.better)


def test_words_are_found_at_the_end_of_a_line_too() -> None:
    assert any(re.search(as_pattern(one), "It is kept, else\n    the second would be the first.") for one in WORDS)


def test_code_and_addresses_of_a_page_are_not_prose() -> None:
    page = "Say `shall` to [all](shall.md).\n\n```\nshall\n```\n\n    make shall\n\n| shall | `shall` |\n"
    prose = prose_of_page(page)
    assert [found.start() for found in re.finditer("shall", prose)] == [page.index("| shall") + 2]
    assert len(prose) == len(page) and prose.count("\n") == page.count("\n")


CODE = '''"""A docstring with `shall` and shall."""
shall = call(b"shall it be", "shall", "he shall", f"they {shall} go")  # a comment shall be
"""And shall
here."""
'''


def test_comments_docstrings_and_strings_of_words_in_code_are_prose() -> None:
    prose = prose_of_code(CODE)
    assert len(prose) == len(CODE) and [line.count("shall") for line in prose.splitlines()] == [1, 2, 1, 0]
    assert prose.splitlines()[0] == "   A docstring with …       and shall.   "


def test_comments_and_strings_of_words_in_settings_are_prose() -> None:
    text = 'shall = "it shall `shall`" # shall\nshall: "shall" ## and shall#\n'
    prose = prose_of_settings(text)
    assert len(prose) == len(text) and [line.count("shall") for line in prose.splitlines()] == [2, 1]
    assert '"' not in prose, "proselint does not read what is quoted"


def test_only_comments_and_docstrings_of_tests_are_prose() -> None:
    assert [line.count("shall") for line in prose_of_code(CODE, has_strings=False).splitlines()] == [1, 1, 1, 0]
