"""Nothing of a handout is hidden: its tests use the names that students can read, and no others.

A right solution may have other attributes and helpers. So our own stage must stay green
if everything in it that the handout does not name is renamed.
"""

import re
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest

from lab.compare.stagecode import FOLDERS
from lab.handout import handout
from tests.lab.renaming import attributes_set_in, defined_in, free_names, read_in, with_other_names
from tests.processes import ROOT

every_stage = pytest.mark.parametrize("stage", FOLDERS)


def sources(stage: int) -> dict[str, str]:
    """The files of a stage, with their bodies."""
    return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
            for path in sorted((ROOT / FOLDERS[stage]).glob("*.py"))}


@lru_cache
def free_names_of(stage: int) -> set[str]:
    """The names that a student may choose."""
    return free_names(FOLDERS[stage], handout.collect(stage), sources(stage).values())


def write_renamed(stage: int, folder: Path) -> None:
    """A handout with a right solution in it, whose free names are replaced."""
    handout.write(handout.collect(stage), folder)
    for path, source in sources(stage).items():
        (folder / path).write_text(with_other_names(source, free_names_of(stage)), "utf-8")


def run_tests(folder: Path, *arguments: str, timeout: float) -> subprocess.CompletedProcess[str]:
    """Run tests of a handout."""
    return subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments], cwd=folder,
                          capture_output=True, text=True, timeout=timeout, check=False)


@every_stage
def test_tests_read_no_name_that_a_student_may_choose(stage: int) -> None:
    names = free_names_of(stage)
    assert names or stage == 3
    files = {path: text.decode() for path, text in handout.collect(stage).items()
             if path.endswith(".py") and path.split("/")[0] in ("tests", "lab")}
    hidden = {path: sorted(found) for path, text in files.items() if (found := read_in(text, names))}
    assert hidden == {}, "declare these in the skeleton (annotate them), or test from outside"


@every_stage
def test_every_public_attribute_is_declared_in_the_file_that_sets_it_or_in_what_is_given(stage: int) -> None:
    """A name that is used elsewhere, such as `root`, is read by many tests, so the test above cannot know whose it is."""
    files = {path: text.decode() for path, text in handout.collect(stage).items() if path.endswith(".py")}
    inherited = {name for path, text in files.items() if path.split("/")[0] not in ("tests", "lab", FOLDERS[stage])
                 for name in attributes_set_in(text)}
    hidden = {path: sorted(found) for path, source in sources(stage).items()
              if (found := attributes_set_in(source) - attributes_set_in(files[path]) - inherited)}
    assert hidden == {}, "annotate these, or begin their names with an underscore"


@every_stage
def test_its_tests_start_no_node_of_a_later_stage(stage: int) -> None:
    files = {path: text.decode() for path, text in handout.collect(stage).items() if path.startswith("tests/stage")}
    started = {path: [int(one) for one in re.findall(r"(?:\blaunch\(|\bstage=)(\d)", text)] for path, text in files.items()}
    assert {path: most for path, numbers in started.items() if (most := max(numbers, default=1)) > stage} == {}


SOURCE = """
class Node:
    def __init__(self) -> None:
        self.declared: int = 1
        self.hidden = self._helper()

    def _helper(self) -> int:
        return self.declared
"""


def test_what_is_renamed() -> None:
    skeleton = "class Node:\n    def __init__(self) -> None:\n        self.declared: int\n        raise NotImplementedError"
    names = free_names("stage", {"stage/node.py": skeleton.encode(), "tests/test_it.py": b"node.hidden"}, [SOURCE])
    assert names == {"hidden", "_helper"} and defined_in(SOURCE) == {*names, "declared", "Node"}
    renamed = with_other_names(SOURCE, names)
    assert "self.other_hidden = self._other_helper()" in renamed and "self.declared: int = 1" in renamed
    assert read_in("node.hidden\nnode.declared\npatch.object(node, '_helper')", names) == names
    assert read_in("self._helper = node._helper", names) == {"_helper"}


def test_a_right_solution_with_other_names_is_green(tmp_path: Path) -> None:
    write_renamed(4, tmp_path)
    assert "_other_" in (tmp_path / "stage4_sequencer" / "node.py").read_text()
    done = run_tests(tmp_path, "-n0", "tests/stage4_sequencer/test_blocks.py", "-k", "forwarded or replayed or evidence",
                     timeout=100)
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout


@pytest.mark.long
@pytest.mark.timeout(900)
@every_stage
def test_all_tests_of_it_are_green_with_other_names(stage: int, tmp_path: Path) -> None:
    write_renamed(stage, tmp_path)
    done = run_tests(tmp_path, "-n2", f"tests/{FOLDERS[stage]}", timeout=800)
    assert done.returncode == 0, done.stdout
