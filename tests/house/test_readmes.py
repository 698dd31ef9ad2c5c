"""All that is named in README.md, the stages' READMEs and docs/ exists, and the map of the files is complete."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from lab.compare import compare
from tests.house.map import PAGE, make_page
from tests.house.shown_lines import read_reviewed
from tests.house.test_house import FILES
from tests.processes import ROOT

PAGES = sorted(page.relative_to(ROOT).as_posix() for pattern in ("*.md", "docs/*.md", "lab/*.md", "stage*/*.md")
               for page in ROOT.glob(pattern))
SOURCES = {path: (ROOT / path).read_text() for path in FILES}


def files_of_the_map(readme: str) -> Iterator[str]:
    """The files in the first column of the map; a name without a folder is in that of the name before it."""
    folder = ""
    for row in re.findall(r"^\| (`[^|]*) \|", readme.partition("## The map")[2].partition("\n## ")[0], re.MULTILINE):
        for name in re.findall("`(.*?)`", row):
            folder = name.rpartition("/")[0] or folder
            yield f"{folder}/{name.rpartition('/')[2]}"


def test_the_map_names_every_file_once() -> None:
    named = [name for name in files_of_the_map((ROOT / "README.md").read_text()) if name.endswith(".py")]
    left_out = ("__init__.py", "__main__.py")
    assert sorted(named) == [path for path in FILES if not path.endswith(left_out)]


def test_the_readme_can_be_read_in_one_go() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 250


def test_the_full_map_is_that_of_today() -> None:
    assert PAGE.read_text() == make_page(), "python -m tests.house.map writes it"


def test_the_full_map_names_every_file_and_says_what_it_is_for() -> None:
    rows = re.findall(r"^\| \[`(\S+)`\]\(\S+\) \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    assert len(rows) > 250 and {"lab/live/screen.py", "tests/house/map.py", "stage5_pos/tree.py"} <= {name for name, _ in rows}
    assert [name for name, what in rows if not what] == []


def test_the_map_of_the_lab_names_every_file_once() -> None:
    rows = re.findall(r"^\|([^|]*)\|.*\|([^|]*)\|$", (ROOT / "lab" / "README.md").read_text(), re.MULTILINE)
    named, folder = [], ""
    for where, files in rows:
        folder = "".join(re.findall("`(.*/)`", where)).removeprefix("lab/") or ("" if "lab/" in where else folder)
        named += [folder + name for name in re.findall(r"`(\w+\.py)`", files)]
    files = [path.relative_to(ROOT / "lab").as_posix() for path in (ROOT / "lab").rglob("*.py")]
    assert sorted(named) == sorted(path for path in files if not path.endswith(("__init__.py", "__main__.py")))


def is_member(class_name: str, member: str) -> bool:
    """Does the class, or one of this name in any file, define the member: a method, or an attribute?"""
    defined = rf"(def {member}\(|^    (self\.)?{member}\b( =|:)|self\.{member}\b( =|:))"
    return any(re.search(defined, source.partition(f"class {class_name}")[2], re.MULTILINE)
               for source in SOURCES.values() if re.search(rf"^class {class_name}\b", source, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES)
def test_every_class_and_member_that_is_named_exists(page: str) -> None:
    named = re.findall(r"`([A-Z]\w+)\.(\w+)`", (ROOT / page).read_text())
    assert [f"{owner}.{member}" for owner, member in named if not is_member(owner, member)] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_private_name_that_is_named_exists(page: str) -> None:
    named = set(re.findall(r"`(_[a-z]\w+)`", (ROOT / page).read_text()))
    everything = "\n".join(SOURCES.values())
    assert [name for name in sorted(named) if not re.search(rf"(def |self\.){name}\b", everything)] == []


def test_a_member_that_does_not_exist_is_noticed() -> None:
    assert is_member("ChatNode", "seen_ids") and is_member("Tree", "locator")
    assert not is_member("ChatNode", "seen_idx") and not is_member("Trees", "locator")


def is_defined(path: str, name: str) -> bool:
    """Does that file define this class or function, or, with a dot, this method of this class?"""
    owner, _, function = name.rpartition(".")
    found = re.search(rf"^class {owner}\b.*?(?=^class |\Z)", SOURCES[path], re.MULTILINE | re.DOTALL) if owner else None
    source = found[0] if found else "" if owner else SOURCES[path]
    return re.search(rf"^ *(def {function}\(|class {function}\b)", source, re.MULTILINE) is not None


@pytest.mark.parametrize("heading", ["### What differs between stages 3 and 4?", "## The life of a block"])
def test_a_table_leads_to_functions_that_exist(heading: str) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\|[^|]*\| `([^|`]*)` \| (`[^|]*) \|$", re.split(r"\n##+ ", page.partition(heading)[2])[0],
                      re.MULTILINE)
    named = [(path, name) for path, names in rows for name in re.findall("`(.*?)`", names)]
    assert len(named) > 20 and [one for one in named if not is_defined(*one)] == []


def test_the_answers_lead_to_functions_that_exist() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    named = re.findall(r"`([\w.]+)`\s+in\s+`((?:stage\w+|common)/\w+\.py)`", page)
    assert len(named) >= 25 and [(path, name) for name, path in named if not is_defined(path, name)] == []


def test_the_lines_that_the_answers_quote_are_in_the_code() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text().partition("## Twelve questions")[2].partition("\n## ")[0]
    quoted = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", page) if "(" in span or span.startswith("if ")]
    assert len(quoted) >= 6 and [one for one in quoted if not any(one in source for source in SOURCES.values())] == []


def anchors_of(page: str) -> set[str]:
    """What a link can lead to on a page: its headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.*)$", (ROOT / page).read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading(page: str) -> None:
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    for path, _, anchor in (link.partition("#") for link in re.findall(r"\]\(([^)\s:]+)\)", text)):
        target = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert target.exists(), f"{page}: {path}"
        assert not anchor or anchor in anchors_of(target.relative_to(ROOT).as_posix()), f"{page}: {path}#{anchor}"


def test_a_function_that_does_not_exist_is_noticed() -> None:
    assert is_defined("stage5_pos/tree.py", "Tree.add") and is_defined("stage5_pos/rules.py", "check_place")
    assert is_defined("stage5_pos/tree.py", "Tree")
    assert not is_defined("stage5_pos/tree.py", "Block.add") and not is_defined("stage5_pos/rules.py", "check_places")


def test_the_terms_of_each_stage_lead_to_files_that_exist() -> None:
    for stage in sorted({Path(path).parent.name for path in FILES} - {"common"}):
        rows = (ROOT / stage / "README.md").read_text().partition("| where it is |")[2].partition("## Try it")[0]
        for name in re.findall(r"`((?:\w+/)?\w+\.py)`", rows):
            assert (name if "/" in name else f"{stage}/{name}") in FILES, f"{stage}: {name}"


# --- which Python -----------------------------------------------------------------------------------

def test_the_workflow_runs_what_the_readme_names() -> None:
    named = re.findall(r"\b3\.\d+", (ROOT / "README.md").read_text().partition("You need Python")[2].partition("\n\n")[0])
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text())["jobs"]["run"]
    assert workflow["strategy"]["matrix"]["python"] == named and workflow["steps"][-1] == {"run": ".ci/run"}


# --- what nodes say in the samples ------------------------------------------------------------------

BEGINNINGS = ("warning", "founded", "listening", "this node", "peer ", "joined", "sent", "transaction", "error", "account")
"""The beginnings of those lines of a node that are one text, and not put together from several."""


def letters_of(text: str) -> int:
    """How many letters a text has, without ids and without what is filled in."""
    return len(re.findall("[a-zA-Z]", re.sub(r"\{\}|\b(?=\w*\d)\w{4,}\b", "", text)))


def patterns() -> list[tuple[re.Pattern[str], int]]:
    """What nodes say, with anything in the gaps, and how many letters of it are fixed."""
    said = [line.partition(": ")[2] for line in read_reviewed()]
    return [(re.compile(".*".join(map(re.escape, text.split("{}")))), letters_of(text)) for text in said]


def lines_of_nodes(page: str) -> list[str]:
    """The lines of sample sessions that say something."""
    samples = re.findall(r"^```\n(\$ make stage.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    return [line for sample in samples for line in sample.splitlines() if line.startswith(BEGINNINGS)]


@pytest.mark.parametrize("page", [page for page in PAGES if page == "README.md" or page.startswith("stage")])
def test_nodes_still_say_what_they_say_in_the_samples(page: str) -> None:
    known, lines = patterns(), lines_of_nodes(page)
    assert len(lines) > 5
    assert [line for line in lines if not is_said(line, known)] == []


def is_said(line: str, known: list[tuple[re.Pattern[str], int]]) -> bool:
    """Does one of these texts make up at least half of the line?"""
    return any(2 * certain >= letters_of(line) and pattern.search(line) for pattern, certain in known)


def test_a_line_that_no_node_says_any_more_is_noticed() -> None:
    assert is_said("founded a network", patterns()) and not is_said("founded the network", patterns())
    assert not is_said("warning: no --wallet, so this account and its money are gone", patterns())


def test_the_table_of_make_compare_is_that_of_today(capsys: pytest.CaptureFixture[str]) -> None:
    compare.main([])
    table = capsys.readouterr().out.partition("\n\n")[0]
    assert f"$ make compare\n{table}\n```" in (ROOT / "docs" / "commands.md").read_text()


def test_the_sample_of_two_stages_side_by_side_is_real(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    sample = page.partition("$ make compare A=2 B=3\n")[2].partition("```")[0].splitlines()
    monkeypatch.setenv("COLUMNS", str(max(map(len, sample))))
    compare.main(["-A", "2", "-B", "3"])
    shown = "\n".join(line.rstrip() for line in capsys.readouterr().out.splitlines())
    assert [part for part in "\n".join(sample).split("\n…\n") if part not in shown] == []
