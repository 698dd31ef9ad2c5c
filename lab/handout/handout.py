"""What a teacher gives to students who write one stage: `python -m lab.handout`, or `make handout STAGE=3 TO=folder`.

The folder contains

- the earlier stages, whole, and no later ones;
- the stage itself, without the bodies of all functions and methods that its files define. Signatures, docstrings and
  "Unlike stage N" stay. So do the constants and the declared messages, which are in the contract, and what has no body:
  abstract methods, and hooks that do nothing. The files of a stage define only what is new or changed in it, so the
  code itself says what to take out;
- the assignment, which is the README of the stage, and the contract without the later stages;
- its tests, with what they import; a Makefile with `make test`, and what it needs.

All this imports files of common/, lab/ and tests/, directly or not. These are there, too, and whole: they are the
library that the assignment builds on. So the handout of stage 3 has common/rsa.py, since its assignment is to use
signatures, not to implement them; those of stages 1 and 2 do not have it. lab/simulation.py is there because the tests
run in it. docs/architecture.md is left out: its table of hooks is half of the solution.
"""

import argparse
import ast
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from common.advice import describe_file_error
from common.console import Options, read_path
from lab.compare.stagecode import FOLDERS, ROOT, read_stage
from lab.tasks.table import TABLE, TableError, change_table, parse_table, read_changes
from lab.handout.skeleton import count_left, without_bodies

TABLES = Path("lab/handout/tasks")
"""The folder with the table of tasks of each stage."""

PACKAGES = ("common", "lab", "tests")
"""A handout has those files of these folders that it imports."""

NOT_NEEDED = ("kubernetes-validate", "textual", "pygments")
"""What the groups of pyproject.toml have for tests and tools that no handout has."""

README = """# {title}

You write `{folder}/`: every function there that raises `NotImplementedError`. The assignment is
[{folder}/README.md]({folder}/README.md). It comes in {count} tasks, {hours} hours in all. You need Python 3.11
or newer, and make.

    make test               # all tasks: a line each, your score, and what fails first
    make test TASK=1        # only this task, which is quicker
    make {name}             # a node of your own, once nearly all is written; it says which function is missing

**How to work.** Begin with `make test`. It names the next task, what you have to decide, what is given, and the first
failure. Write what it asks for, and run it again. A task counts when all its tests pass. The run of a task stops at its
first failure, so each run shows one thing to do: "4 of 37 tests pass" says that the fifth has failed, and the others
were not run. If a test has run in memory, `failure.svg` shows the last 400 messages before it failed: nodes are
columns, time runs down.

**What is fixed.** The names, parameters and docstrings of functions, and the attributes that the skeleton declares
(`self.key: PrivateKey`). Tests use them. Everything else is yours: a function whose name begins with an underscore is
only a suggestion. Add what you like, and name it as you like.

**What the words mean.** What goes over the wire, and what the command line takes, is in
[docs/contract.md](docs/contract.md); the code refers to it as "contract §N". "Invalid unless …" in a docstring says
that the function raises `Invalid` (common/interface.py) for what is not valid. The node counts that against whoever has
sent it. Any other exception that leaves a function is a defect, unless a docstring or a task names it: `FormatError`
ends the connection, and `CommandError` is what the user is told.

**More of `make test`.** With `ARGS=`, pytest gets these options, and runs the easiest tests first. `ALL=1` runs
all tests, and shows their whole output:

    make test ARGS=-x                               # stop at the first failure
    make test ARGS="tests/{folder} -k joins"        # some tests
    make test ALL=1                                 # all tests with their whole output, many lines

**As a grader sees it.** `make grade` starts nodes of yours, types at them and talks to them over sockets. It prints a
table of criteria with points, and writes a page that shows what was said when a criterion failed.

| task | points | time, about |
|---|---|---|
{rows}

Everything else is given, and works:
{given}.

This is part of a larger project. `make network`, `make attacks` and docs/security.md, which the READMEs mention, are
only in that project.
"""


def make_options() -> Options:
    """The options of the command."""
    options = Options(prog="python -m lab.handout", description="Write what students of one stage get.",
                      allow_abbrev=False)
    options.add_argument("--stage", type=read_stage, required=True, metavar="N", help="the stage to write, 1 to 5")
    options.add_argument("--to", type=read_path, required=True, metavar="FOLDER", help="a new or empty folder")
    options.add_argument("--with", type=read_path, metavar="FILE", dest="changes",
                         help="a TOML file with other points for some tasks: [points], then lines such as 3 = 40;"
                              " 0 leaves one out")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a handout; the exit status is 2 if the options are wrong or the folder cannot be written."""
    parser = make_options()
    options = parser.parse_args(arguments)
    try:
        check_folder(options.to)
        files = collect(options.stage, changes=read_changes_in(options.changes))
        write(files, options.to)
    except OSError as error:
        parser.exit(2, f"{parser.prog}: cannot write {options.to}: {describe_file_error(error)}\n")
    except (argparse.ArgumentTypeError, TableError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    left = sum(count_left(text.decode()) for path, text in files.items()
               if path.startswith(FOLDERS[options.stage]) and path.endswith(".py"))
    print(f"{options.to}: {len(files)} files; {left} functions of {FOLDERS[options.stage]} are left to write")
    return 0


def read_changes_in(path: Path | None) -> dict[int, int]:
    """Read the points from the file of `--with`; none without a file. TableError if it contains anything else."""
    if path is None:
        return {}
    try:
        return read_changes(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, TableError) as error:
        reason = describe_file_error(error) if isinstance(error, OSError) else error
        raise TableError(f"{path}: {reason}") from None


def check_folder(folder: Path) -> None:
    """ArgumentTypeError if a handout cannot be written here: something is there already."""
    if folder.exists() and not folder.is_dir():
        raise argparse.ArgumentTypeError(f"{folder} is a file; expected a new or empty folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise argparse.ArgumentTypeError(f"{folder} is not empty; expected a new or empty folder, since nothing is ever"
                                         " overwritten")


def write(files: dict[str, bytes], folder: Path) -> None:
    """Write the files of a handout."""
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


# --- what is in it ------------------------------------------------------------------------------

def collect(stage: int, root: Path = ROOT, changes: Mapping[int, int] | None = None) -> dict[str, bytes]:
    """All files of the handout, by path. `changes` are other points for some tasks, 0 to leave one out."""
    own = FOLDERS[stage]
    folders = [FOLDERS[number] for number in range(1, stage + 1)]
    criteria = [path for folder in folders for path in python_files(root, [f"tests/{folder}"])
                if Path(path).name.startswith("test_criteria")]
    sources = [*python_files(root, [*folders, f"tests/{own}", "lab/tasks", "lab/grade"]), *criteria,
               "tests/conftest.py"]
    given = [path for path in find_imported(root, sources) if path not in sources]
    readmes = [f"{folder}/README.md" for folder in folders]
    keys = [path.relative_to(root).as_posix() for path in sorted((root / "tests" / "keys").iterdir())]
    files = {path: (root / path).read_bytes() for path in sorted({*sources, *given, *readmes, *keys, ".gitignore"})}
    for path in python_files(root, [own]):
        files[path] = without_bodies(files[path].decode()).encode()
    table = change_table((root / TABLES / f"stage{stage}.toml").read_text("utf-8"), changes or {})
    texts = {"docs/contract.md": without_later_stages((root / "docs" / "contract.md").read_text("utf-8"), stage),
             "Makefile": make_makefile(root, stage), "README.md": make_readme(root, stage, files, table),
             TABLE: table,
             **make_settings((root / "pyproject.toml").read_text("utf-8"))}
    return files | {path: text.encode() for path, text in texts.items()}


def python_files(root: Path, folders: Iterable[str]) -> list[str]:
    """The Python files in some folders."""
    return [path.relative_to(root).as_posix() for folder in folders for path in sorted((root / folder).glob("*.py"))]


def find_imported(root: Path, sources: Iterable[str]) -> list[str]:
    """The files of common/, lab/ and tests/ that `sources` import, directly or not, with each `__init__.py`."""
    found: dict[str, None] = {}
    pending = list(sources)
    while pending:
        source = pending.pop()
        packages = [f"{parent.as_posix()}/__init__.py" for parent in Path(source).parents[:-1]]
        for path in [*imported_files(root, source), *packages]:
            if path.partition("/")[0] in PACKAGES and path not in found:
                found[path] = None
                pending.append(path)
    return list(found)


def imported_files(root: Path, source: str) -> Iterator[str]:
    """The files of the project that a file imports."""
    for node in ast.walk(ast.parse((root / source).read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        paths = [name.replace(".", "/") + ".py" for name in names]
        yield from (path for path in paths if (root / path).is_file())


# --- texts --------------------------------------------------------------------------------------

def without_later_stages(contract: str, stage: int) -> str:
    """The contract without the sections and the rows of tables that only later stages have."""
    sections = re.split(r"(?m)^(?=##)", contract)
    kept = [section for section in sections if not is_later(r"### Stage (\d)", section, stage)]
    return "\n".join(line for line in "".join(kept).split("\n") if not is_later_row(line, stage))


def is_later_row(line: str, stage: int) -> bool:
    """Is this line of the contract a row of a table that only later stages have?"""
    patterns = [r"\| [a-z]+ \(stages? (\d)",  # a message, §1
                r"\| `--[^|]*\| stages? (\d)",  # an option, §4
                r"\| `/[^|]*\| (\d)"]  # a command, §4
    return any(is_later(pattern, line, stage) for pattern in patterns)


def is_later(pattern: str, text: str, stage: int) -> bool:
    """Does the text begin with this pattern, and is the number that the pattern finds a later stage?"""
    found = re.match(pattern, text)
    return found is not None and int(found[1]) > stage


def make_readme(root: Path, stage: int, files: Iterable[str], table: str) -> str:
    """What a student reads first."""
    title = (root / FOLDERS[stage] / "README.md").read_text("utf-8").splitlines()[0].removeprefix("# ")
    given = sorted({f"`{path.partition('/')[0]}/`" for path in files if "/" in path} - {f"`{FOLDERS[stage]}/`"})
    tasks = parse_table(table).tasks
    rows = [f"| {task.number}. {task.title} | {task.points} | {task.minutes} minutes |" for task in tasks]
    return README.format(title=title, folder=FOLDERS[stage], name=f"stage{stage}", given=", ".join(given),
                         count=len(tasks), hours=round(sum(task.minutes for task in tasks) / 60), rows="\n".join(rows))


def make_makefile(root: Path, stage: int) -> str:
    """The Makefile of a handout."""
    folders = [FOLDERS[number] for number in range(1, stage + 1)]
    names = " ".join(f"stage{number}" for number in range(1, stage + 1))
    return (f"THIS := {FOLDERS[stage]}\nSTAGES := {' '.join(folders)}\nNAMES := {names}\n\n"
            + (root / "lab" / "handout" / "handout.mk").read_text("utf-8"))


def make_settings(pyproject: str) -> dict[str, str]:
    """The files with pytest's settings and with what must be installed."""
    project = tomllib.loads(pyproject)["project"]
    optional = project["optional-dependencies"]
    wanted = [*optional["terminal"], *optional["test"], *optional["lab"]]
    needed = [*project["dependencies"], *(one for one in wanted if not one.startswith(NOT_NEEDED))]
    pytest_settings = re.search(r"(?ms)^\[tool\.pytest\.ini_options\]\n.*?(?=^\[|\Z)", pyproject)
    assert pytest_settings is not None, "pyproject.toml has settings for pytest"
    return {"requirements.txt": "\n".join([*needed, ""]), "pyproject.toml": pytest_settings[0].rstrip() + "\n"}
