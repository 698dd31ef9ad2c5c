"""Each bound stands once in the code, with its reason, in the limits file of its stage. docs/bounds.md lists them all."""

from collections import Counter

from tests.house.bounds import COMMAND, FILES, PAGE, all_bounds, find_bounds, make_page
from tests.house.test_house import FILES as ALL_FILES


def test_the_page_lists_all_bounds_as_they_are() -> None:
    assert PAGE.read_text("utf-8") == make_page(), f"{COMMAND} brings docs/bounds.md up to date"


def test_each_name_is_one_bound() -> None:
    """A second bound of the same name would replace the first one, or confuse readers."""
    names = Counter(name for bound in all_bounds() for name in bound.names)
    assert len(names) > 70 and [name for name, times in names.items() if times > 1] == []


def test_each_bound_has_its_reason() -> None:
    assert [bound.names for bound in all_bounds() if not bound.reason] == []


def test_no_file_of_bounds_is_left_out() -> None:
    assert sorted(FILES) == sorted(path for path in ALL_FILES if path.endswith("limits.py"))


def test_the_value_is_the_code_and_two_names_share_a_reason() -> None:
    source = 'A = 2 * B\n"""Bytes,\nor so."""\nC, D = 1, 2.5\n'
    assert [tuple(bound) for bound in find_bounds("x.py", source)] == [
        (("A",), "2 * B", "x.py", "Bytes, or so."), (("C", "D"), "1, 2.5", "x.py", "")]
