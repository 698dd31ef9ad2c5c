"""`make handout`: what students get fails its tests, passes them with our bodies put back, and shows none of these."""

import ast
import itertools
import re
import shutil
import subprocess
import sys
from collections import Counter
from functools import lru_cache
from pathlib import Path

import pytest

from lab.adversaries.bad_neighbour import NODES
from lab.handout import handout, skeleton
from lab.compare.stagecode import FOLDERS
from tests.house.bounds import all_bounds
from tests.processes import ROOT

every_stage = pytest.mark.parametrize("stage", FOLDERS)


@lru_cache
def files_of(stage: int) -> dict[str, bytes]:
    """The files of a handout, by path."""
    return handout.collect(stage)


def functions_of(source: str) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions of a file, each by its name and its place among those of that name."""
    times: Counter[str] = Counter()
    found = {}
    for function in skeleton.find_functions(ast.parse(source)):
        times[function.name] += 1
        found[f"{function.name} {times[function.name]}"] = function
    return found


def is_declaration(statement: ast.stmt) -> bool:
    """Is this `self.links: Neighbours`, or the docstring of that?"""
    return (isinstance(statement, ast.AnnAssign) and statement.value is None) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))


def own_files(stage: int) -> list[str]:
    return sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / FOLDERS[stage]).glob("*.py"))


# --- what is in it ------------------------------------------------------------------------------

@every_stage
def test_the_stage_is_there_without_its_bodies(stage: int) -> None:
    for path in own_files(stage):
        original, given = (ROOT / path).read_text("utf-8"), files_of(stage)[path].decode()
        ours, theirs = functions_of(original), functions_of(given)
        assert ours.keys() == theirs.keys()
        for name, function in theirs.items():
            body = function.body[1:] if ast.get_docstring(function) else function.body
            *declared, last = body
            assert ast.unparse(last) == "raise NotImplementedError", f"{path}: {name}"
            assert all(is_declaration(statement) for statement in declared), f"{path}: {name}"
            assert ast.get_docstring(function) == ast.get_docstring(ours[name])
            ours[name].body = function.body
            assert ast.unparse(ours[name]) == ast.unparse(function), "the signature and the decorators stay"
        assert ast.get_docstring(ast.parse(original)) == ast.get_docstring(ast.parse(given))
    assert stage == 1 or f"Unlike stage {stage - 1}:" in files_of(stage)[f"{FOLDERS[stage]}/node.py"].decode()


@every_stage
def test_earlier_stages_are_whole_and_later_ones_are_missing(stage: int) -> None:
    files = files_of(stage)
    for number, folder in FOLDERS.items():
        there = sorted(path for path in files if path.startswith(f"{folder}/"))
        expected = sorted([*own_files(number), f"{folder}/README.md"]) if number <= stage else []
        assert there == expected
        assert number == stage or all(files[path] == (ROOT / path).read_bytes() for path in there)
    later = [folder for number, folder in FOLDERS.items() if number > stage]
    assert not [path for path in files if any(folder in path for folder in later)]
    imports = re.compile(rf"(?m)^ *(from|import) ({'|'.join([*later, 'nobody'])})\b")
    assert not [path for path, text in files.items() if path.endswith(".py") and imports.search(text.decode())]
    assert ("common/rsa.py" in files) == (stage >= 3) and ("common/ledger.py" in files) == (stage >= 2)
    assert files[f"{FOLDERS[stage]}/README.md"].startswith(f"# Stage {stage}".encode())


@every_stage
def test_common_has_no_words_and_no_bounds_of_later_stages(stage: int) -> None:
    """Each stage has its own. What several stages use to fetch missing data is given with the first of them."""
    files = files_of(stage)
    common = "".join(text.decode() for path, text in files.items() if path.startswith("common/"))
    later = [folder for number, folder in FOLDERS.items() if number > stage]
    bounds = [name for bound in all_bounds() if bound.file.split("/")[0] in later for name in bound.names]
    assert [name for name in bounds if re.search(rf"\b{name}\b", common)] == []
    events = NODES[5].EVENTS.keys() - NODES[stage].EVENTS.keys()
    assert [event for event in events if f'"{event}": lambda' in common] == []
    assert ("common/fetch_limits.py" in files) == (stage >= 2)


@every_stage
def test_nothing_of_the_solution_is_in_it(stage: int) -> None:
    """No file of any kind, except those of earlier stages, contains two successive statements of a body."""
    texts = {path: re.sub(r"\s+", " ", text.decode()) for path, text in files_of(stage).items()}
    for path in own_files(stage):
        source = (ROOT / path).read_text("utf-8")
        for name, function in functions_of(source).items():
            body = function.body[1:] if ast.get_docstring(function) else function.body
            for pair in itertools.pairwise(one for one in body if not is_declaration(one)):
                code = "\n".join(source.splitlines()[pair[0].lineno - 1:pair[1].end_lineno])
                shown = re.sub(r"\s+", " ", code.strip())
                found = [place for place, text in texts.items() if shown in text]
                assert all(place.split("/")[0] in list(FOLDERS.values())[:stage - 1] for place in found), (name, found)


@every_stage
def test_the_contract_has_no_later_stages(stage: int) -> None:
    contract = files_of(stage)["docs/contract.md"].decode()
    assert re.findall(r"(?m)^### Stage (\d)", contract) == [str(number) for number in FOLDERS if number <= stage]
    expected = {1: "/help", 2: "/ledger", 3: "/account", 4: "/blocks", 5: "/tree"}
    assert [number for number, command in expected.items() if f"\n| `{command}`" in contract] == list(range(1, stage + 1))
    assert ("--slot SECONDS" in contract) == ("| block (stage 5)" in contract) == (stage == 5)
    for heading in ("## 1. Bytes", "## 2. Connections", "## 4. Command line", "## 7. What has changed"):
        assert heading in contract
    assert stage != 5 or contract == (ROOT / "docs" / "contract.md").read_text("utf-8")


SOURCE = '''"""A file."""
LIMIT = 3  # stays

def plain(a: int, b: str = "x") -> int:
    """What it does.

    And more.
    """
    # the trick
    return a

    # and after it

# --- a heading ---
@decorated(lambda: LIMIT)
async def without_docstring():
    # why

    def inner():
        return 1
    return inner
def on_one_line(): return 2
class Some:
    """A class."""
    size: int = len("stays")

    @property
    def value(self) -> int: """Explained."""; return 1

    @value.setter
    def value(self, value: int) -> None:
        @decorated
        def inner(): pass
    def only_docstring(self) -> None:
        """Nothing to do."""
    if LIMIT:
        def conditional(
            self,
        ) -> None:
            pass
'''

TAKEN_OUT = '''"""A file."""
LIMIT = 3  # stays

def plain(a: int, b: str = "x") -> int:
    """What it does.

    And more.
    """
    raise NotImplementedError

# --- a heading ---
@decorated(lambda: LIMIT)
async def without_docstring():
    raise NotImplementedError
def on_one_line():
    raise NotImplementedError
class Some:
    """A class."""
    size: int = len("stays")

    @property
    def value(self) -> int:
        """Explained."""
        raise NotImplementedError

    @value.setter
    def value(self, value: int) -> None:
        raise NotImplementedError
    def only_docstring(self) -> None:
        """Nothing to do."""
    if LIMIT:
        def conditional(
            self,
        ) -> None:
            raise NotImplementedError
'''


def test_bodies_are_taken_out_however_they_are_written_and_all_else_stays() -> None:
    assert skeleton.without_bodies(SOURCE) == TAKEN_OUT


# --- its tests ----------------------------------------------------------------------------------

TESTS_OF_WHAT_IS_GIVEN = {
    "test_only_what_the_contract_allows_has_the_form_of_a_transaction",  # the declared message
    "test_every_order_makes_the_same_ledger_and_no_money_appears",  # common/ledger.py
    "test_the_interval_is_that_of_the_binomial",  # the test's own measure
    "test_a_thread_that_cannot_be_started_is_an_error_of_the_system",  # common/threads.py
    "test_tidying_returns_free_memory_between_kept_objects_to_the_system",  # common/memory.py
}
"""The tests that pass before anything is written."""


class Outcome:
    """What pytest said in a handout."""

    def __init__(self, folder: Path, *arguments: str, timeout: float = 100) -> None:
        command = [sys.executable, "-m", "pytest", "-q", "-rA", "--tb=line", "--continue-on-collection-errors",
                   "-p", "no:cacheprovider", *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout)
        self.text, self.status = done.stdout + done.stderr, done.returncode
        self.passed = set(re.findall(r"(?m)^PASSED \S*::(\w+)", self.text))
        self.not_passed = set(re.findall(r"(?m)^(?:FAILED|ERROR) (\S+)", self.text))


def write_handout(stage: int, folder: Path) -> Path:
    handout.write(files_of(stage), folder)
    return folder


def put_bodies_back(stage: int, folder: Path) -> None:
    for path in own_files(stage):
        shutil.copyfile(ROOT / path, folder / path)


def test_its_tests_fail_and_pass_with_the_bodies_put_back(tmp_path: Path) -> None:
    folder = write_handout(5, tmp_path)
    tests = ["tests/stage5_pos/test_ledger.py", "tests/stage5_pos/test_tree.py", "-k", "locator or drawing or fee_and"]
    before = Outcome(folder, *tests)
    assert (before.status, before.passed, len(before.not_passed)) == (1, set(), 4), before.text
    assert "NotImplementedError" in before.text and "ImportError" not in before.text
    put_bodies_back(5, folder)
    after = Outcome(folder, *tests)
    assert (after.status, len(after.passed), after.not_passed) == (0, 4, set()), after.text


@pytest.mark.long
@pytest.mark.timeout(1_200)
@every_stage
def test_all_its_tests_fail_and_pass_with_the_bodies_put_back(stage: int, tmp_path: Path) -> None:
    folder = write_handout(stage, tmp_path)
    tests = f"tests/{FOLDERS[stage]}"
    before = Outcome(folder, "-n2", tests, timeout=900)
    assert before.status == 1 and before.passed <= TESTS_OF_WHAT_IS_GIVEN, before.passed
    assert not re.search("ImportError|ModuleNotFoundError|SyntaxError", before.text)
    put_bodies_back(stage, folder)
    after = Outcome(folder, "-n2", tests, timeout=600)
    assert after.status == 0 and after.not_passed == set() and len(after.passed) > 20, after.text


@every_stage
def test_every_module_of_it_can_be_imported(stage: int, tmp_path: Path) -> None:
    """What runs at import needs none of the bodies: decorators, constants, the declared messages."""
    folder = write_handout(stage, tmp_path)
    modules = [path.removesuffix(".py").replace("/", ".") for path in files_of(stage)
               if path.endswith(".py") and not path.startswith("tests/")]
    script = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script, *modules], cwd=folder, capture_output=True,
                          text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "") and f"{FOLDERS[stage]}.node" in modules


def test_students_run_the_same_grader(tmp_path: Path) -> None:
    """The grader of a handout starts the nodes that are in it, and asks what earlier stages ask, too."""
    folder = write_handout(2, tmp_path)

    def grade() -> str:
        return subprocess.run([sys.executable, "-m", "lab.grade", "--stage", "2", "--only", "2.send,1.not-back"],
                              cwd=folder, capture_output=True, text=True, timeout=100, check=True).stdout

    assert "basics 0 of 100" in grade()
    put_bodies_back(2, folder)
    assert "basics 100 of 100" in grade()
    done = subprocess.run(["make", "-n", "grade", "ONLY=2.send"], cwd=folder, capture_output=True, text=True)
    assert "-m lab.grade --stage 2" in done.stdout and "--only '2.send'" in done.stdout


def test_what_it_needs_is_named(tmp_path: Path) -> None:
    files = files_of(2)
    needed = files["requirements.txt"].decode().split()
    for package in ("pycryptodome", "pytest", "hypothesis", "pytest-xdist", "pytest-timeout"):
        assert any(re.match(rf"{package}[><=]", one) for one in needed)
    assert files["pyproject.toml"].startswith(b"[tool.pytest.ini_options]") and b"[tool.ruff" not in files["pyproject.toml"]


# --- the command --------------------------------------------------------------------------------

def test_it_writes_into_a_new_or_an_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "new" / "folder"):
        assert handout.main(["--stage", "3", "--to", str(folder)]) == 0
        written = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert written == files_of(3)
    left = sum(len(functions_of((ROOT / path).read_text("utf-8"))) for path in own_files(3))
    assert f"{left} functions of stage3_signed are left to write" in capsys.readouterr().out


WRONG = {"--stage 7 --to new": "expected a stage from 1 to 5, not '7'", "--stage x --to new": "not 'x'",
         "--stage 3": "required: --to", "--to new": "required: --stage", "--stage 3 --to full": "full is not empty",
         "--stage 3 --to full/file": "full/file is a file",
         "--stage 3 --to full/file/new": "cannot write full/file/new: Not a directory; a part of this path is a file"}


@pytest.mark.parametrize("words", WRONG)
def test_what_is_wrong_gives_one_line_and_status_2_and_nothing_is_written(
        words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("theirs")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        handout.main(words.split())
    shown = capsys.readouterr()
    assert (ended.value.code, shown.out) == (2, "")
    assert WRONG[words] in shown.err and shown.err.count("\n") == 1
    assert [path.name for path in tmp_path.rglob("*")] == ["full", "file"]
    assert (tmp_path / "full" / "file").read_text() == "theirs"


def test_make_passes_on_what_it_is_given() -> None:
    done = subprocess.run(["make", "-n", "handout", "STAGE=3", "TO=a folder"], cwd=ROOT, capture_output=True, text=True)
    assert "lab.handout --stage '3' --to 'a folder'" in done.stdout
