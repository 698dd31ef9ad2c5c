"""What a teacher gives to students who write one stage: `python -m lab.handout`, or `make handout STAGE=3 TO=folder`.

In the folder are

- the stages before it, whole; what comes after it is not there;
- the stage itself, with the bodies of all functions and methods that its files define taken out. Signature,
  docstring and the "Unlike" stay, and so do the constants and the declared messages, which are the contract's, and
  what has no body: abstract methods, and hooks that do nothing. What is defined in a stage's own files is what is new
  or changed in it, so the code itself says what to take out;
- the assignment, which is the README of the stage, and the contract without the later stages;
- its tests, with what they import; a Makefile with `make test`, and what it needs.

Of common/, lab/ and tests/ there are the files that the above imports, directly or not, and these are whole:
they are the library that the assignment builds on. So common/rsa.py is given with stage 3, whose assignment is
to use signatures and not to implement them, and is not there in stages 1 and 2. lab/simulation.py is
there because the tests run in it. docs/architecture.md is not: its table of hooks is half of the solution.
"""

import argparse
import ast
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from common.advice import describe_file_error
from common.console import Options, read_path
from lab.compare.stagecode import DEFINITIONS, FOLDERS, FUNCTIONS, ROOT, read_stage

PACKAGES = ("common", "lab", "tests")
"""The folders of which a handout has what is imported."""

README = """# {title}

Your part is in `{folder}/`: every function there that raises `NotImplementedError` is yours to write. The assignment
is [{folder}/README.md]({folder}/README.md). What goes over the wire, and what the command line takes, is in
[docs/contract.md](docs/contract.md); the code refers to it as "contract §N".

    make test               # the tests of this stage
    make test ARGS=-x       # up to the first that fails
    make {name}             # a node of it

You need Python 3.11 or newer, and make. Everything else is given, and works:
{given}.

This is a part of a larger project. What READMEs say of `make network`, `make attacks` and docs/security.md is there.
"""


def make_options() -> Options:
    """The options of the command."""
    options = Options(prog="python -m lab.handout", description="Write what students of one stage get.",
                      allow_abbrev=False)
    options.add_argument("--stage", type=read_stage, required=True, metavar="N", help="the stage to write, 1 to 5")
    options.add_argument("--to", type=read_path, required=True, metavar="FOLDER", help="new or empty")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a handout; the exit status is 2 if the options are wrong or the folder cannot be written."""
    parser = make_options()
    options = parser.parse_args(arguments)
    try:
        check_folder(options.to)
        files = collect(options.stage)
        write(files, options.to)
    except OSError as error:
        parser.exit(2, f"{parser.prog}: cannot write {options.to}: {describe_file_error(error)}\n")
    except argparse.ArgumentTypeError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    left = sum(text.count(b"raise NotImplementedError") for path, text in files.items()
               if path.startswith(FOLDERS[options.stage]))
    print(f"{options.to}: {len(files)} files; {left} functions of {FOLDERS[options.stage]} are left to write")
    return 0


def check_folder(folder: Path) -> None:
    """ArgumentTypeError unless nothing is in the way."""
    if folder.exists() and not folder.is_dir():
        raise argparse.ArgumentTypeError(f"{folder} is a file, and a new or empty folder is expected")
    if folder.is_dir() and any(folder.iterdir()):
        raise argparse.ArgumentTypeError(f"{folder} is not empty, and nothing is ever overwritten")


def write(files: dict[str, bytes], folder: Path) -> None:
    """Write the files of a handout."""
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


# --- what is in it ------------------------------------------------------------------------------

def collect(stage: int, root: Path = ROOT) -> dict[str, bytes]:
    """All files of the handout, by path."""
    own = FOLDERS[stage]
    folders = [FOLDERS[number] for number in range(1, stage + 1)]
    sources = [*python_files(root, folders), *python_files(root, [f"tests/{own}"]), "tests/conftest.py"]
    given = [path for path in find_imported(root, sources) if path not in sources]
    readmes = [f"{folder}/README.md" for folder in folders]
    keys = [path.relative_to(root).as_posix() for path in sorted((root / "tests" / "keys").iterdir())]
    files = {path: (root / path).read_bytes() for path in sorted({*sources, *given, *readmes, *keys, ".gitignore"})}
    for path in python_files(root, [own]):
        files[path] = without_bodies(files[path].decode()).encode()
    texts = {"docs/contract.md": without_later_stages((root / "docs" / "contract.md").read_text("utf-8"), stage),
             "Makefile": make_makefile(root, stage), "README.md": make_readme(root, stage, files),
             **make_settings((root / "pyproject.toml").read_text("utf-8"))}
    return files | {path: text.encode() for path, text in texts.items()}


def python_files(root: Path, folders: Iterable[str]) -> list[str]:
    """The Python files in some folders."""
    return [path.relative_to(root).as_posix() for folder in folders for path in sorted((root / folder).glob("*.py"))]


def find_imported(root: Path, sources: Iterable[str]) -> list[str]:
    """Files of common/, lab/ and tests/ that `sources` import, directly or not, and those of their packages."""
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


# --- code ---------------------------------------------------------------------------------------

def without_bodies(source: str) -> str:
    """A file whose functions raise NotImplementedError. What is not in a function stays as it is."""
    lines = source.splitlines()
    for function in reversed(list(find_functions(ast.parse(source)))):
        start, end, head = body_of(function, lines)
        indent = " " * (function.col_offset + 4)
        lines[start:end] = [*head, f"{indent}raise NotImplementedError"]
    return "\n".join([*lines, ""])


def find_functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions and methods of a file that do something, from top to bottom, without those inside of others. What
    is abstract does nothing, and neither do hooks that only a later stage has a use for."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, FUNCTIONS):
            if len(node.body) > 1 or ast.get_docstring(node) is None:
                yield node
        else:
            yield from find_functions(node)


def body_of(function: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]) -> tuple[int, int, list[str]]:
    """Which lines are the body, the docstring left out and the comments included; and what must be put
    in front of the new one, which is the signature if the body begins on its line, and then the docstring."""
    first, end = function.body[0], end_of(function, lines)
    has_docstring = ast.get_docstring(function) is not None
    start = min([first.lineno, *(one.lineno for one in getattr(first, "decorator_list", []))]) - 1
    signature = lines[start].encode()[:first.col_offset].decode().rstrip()
    if signature and not isinstance(first, DEFINITIONS):
        docstring = f"{' ' * (function.col_offset + 4)}{ast.get_source_segment(chr(10).join(lines), first)}"
        return start, end, [signature, *([docstring] if has_docstring else [])]
    if has_docstring:
        return first.end_lineno or 0, end, []
    while not lines[start - 1].strip() or lines[start - 1].lstrip().startswith("#"):
        start -= 1
    return start, end, []


def end_of(function: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]) -> int:
    """The last line of a function, the comments behind its last statement included."""
    end = function.end_lineno or 0
    for number, line in enumerate(lines[end:], end + 1):
        depth = len(line) - len(line.lstrip())
        if line.strip() and not (line.lstrip().startswith("#") and depth > function.col_offset):
            break
        end = number if line.strip() else end
    return end


# --- texts --------------------------------------------------------------------------------------

def without_later_stages(contract: str, stage: int) -> str:
    """The contract without the sections, the rows of tables and the decisions of later stages."""
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
    """Does the text begin with this pattern, which has the number of a stage that comes later?"""
    found = re.match(pattern, text)
    return found is not None and int(found[1]) > stage


def make_readme(root: Path, stage: int, files: Iterable[str]) -> str:
    """What a student reads first."""
    title = (root / FOLDERS[stage] / "README.md").read_text("utf-8").splitlines()[0].removeprefix("# ")
    given = sorted({f"`{path.partition('/')[0]}/`" for path in files if "/" in path} - {f"`{FOLDERS[stage]}/`"})
    return README.format(title=title, folder=FOLDERS[stage], name=f"stage{stage}", given=", ".join(given))


def make_makefile(root: Path, stage: int) -> str:
    """The Makefile of a handout."""
    folders = [FOLDERS[number] for number in range(1, stage + 1)]
    names = " ".join(f"stage{number}" for number in range(1, stage + 1))
    return (f"THIS := {FOLDERS[stage]}\nSTAGES := {' '.join(folders)}\nNAMES := {names}\n\n"
            + (root / "lab" / "handout" / "handout.mk").read_text("utf-8"))


def make_settings(pyproject: str) -> dict[str, str]:
    """What pytest must know, and what must be installed: the files that say so."""
    project = tomllib.loads(pyproject)["project"]
    optional = project["optional-dependencies"]
    needed = [*project["dependencies"], *optional["terminal"], *optional["test"]]
    pytest_settings = re.search(r"(?ms)^\[tool\.pytest\.ini_options\]\n.*?(?=^\[|\Z)", pyproject)
    assert pytest_settings is not None, "pyproject.toml has settings for pytest"
    return {"requirements.txt": "\n".join([*needed, ""]), "pyproject.toml": pytest_settings[0].rstrip() + "\n"}
