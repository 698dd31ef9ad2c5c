"""The house rules that a program can check: which file may import what, and that public names have docstrings.

Thanks to these rules the stages can be read one after the other, and the same node runs on sockets, in a test and in
a simulation. The files are read, not run: an import inside a function, or only for the type checker, counts like any
other.
"""

import ast
import itertools
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]

STAGES = ["stage1_chat", "stage2_ledger", "stage3_signed", "stage4_sequencer", "stage5_pos"]

MAY_IMPORT = {"common": {"common"}, STAGES[0]: {"common", STAGES[0]},
              **{later: {"common", earlier, later} for earlier, later in itertools.pairwise(STAGES)}}
"""Folder -> the folders of the project that it may import: a stage knows common/ and the stage that it extends. Nobody
imports lab/ or tests/."""

CRYPTO_FILES = {"common/rsa.py", "common/wallets.py"}
OPENINGS_FILE, PROMPT_FILE = "stage1_chat/openings.py", "common/prompt.py"
TERMINAL_FILES = {PROMPT_FILE, "common/terminal.py"}
SOCKET_FILES = {OPENINGS_FILE, "stage1_chat/connection.py"}

SOCKETS = {"_socket", "asyncio", "select", "selectors", "socket", "socketserver", "ssl"}
THREADS = {"_thread", "concurrent", "multiprocessing", "threading"}
THREAD_FILES = {*SOCKET_FILES, PROMPT_FILE, "common/threads.py"}

OUTSIDE_THE_NODE = SOCKETS | THREADS | {"datetime", "queue", "sched", "signal", "subprocess", "time"}
"""What a node must be given by its network: what comes in, and the time."""
NOT_OF_THE_NODE = {"connection.py", "openings.py", "__main__.py"}
"""Files of a stage that are not part of its state machine."""
RUNS_THE_NODE = {"common.client", "common.network", "common.threads"}
"""Modules of common/ that are not for a state machine either."""

BY_NAME = {"__import__", "builtins", "eval", "exec", "imp", "importlib", "pkgutil", "runpy"}
"""Ways to import that neither a reader's text search nor these rules would find."""

FILES = sorted(path.relative_to(ROOT).as_posix() for pattern in ("common/**/*.py", "stage*/**/*.py")
               for path in ROOT.glob(pattern))


class Found(NamedTuple):
    """Something in a file, named so that it can be found."""

    name: str
    line: int

    @property
    def root(self) -> str:
        """The part before the first dot."""
        return self.name.partition(".")[0]

    def __str__(self) -> str:
        return f"line {self.line}: {self.name}"


def find_imports(path: str, tree: ast.Module) -> Iterator[Found]:
    """All imports, with their full names: `from a.b import c` is a.b.c, `from . import c` in x/y.py is x.c."""
    package = path.split("/")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Found(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[:len(package) + 1 - node.level] if node.level else []
            parts = [*start, node.module] if node.module else start
            yield from (Found(".".join([*parts, alias.name]), node.lineno) for alias in node.names)


def forbidden_by_place(path: str, tree: ast.Module) -> list[str]:
    """Imports that are forbidden in this file's folder: other stages, lab, tests, packages that are no dependency."""
    allowed = MAY_IMPORT.get(path.split("/")[0], set()) | sys.stdlib_module_names
    if path in CRYPTO_FILES:
        allowed = allowed | {"Crypto"}
    if path in TERMINAL_FILES:
        allowed = allowed | {"prompt_toolkit"}
    return [str(found) for found in find_imports(path, tree) if found.root not in allowed]


def forbidden_sockets_and_threads(path: str, tree: ast.Module) -> list[str]:
    """Imports of sockets and threads outside the files that exist for them."""
    forbidden = (set() if path in SOCKET_FILES else SOCKETS) | (set() if path in THREAD_FILES else THREADS)
    if path == PROMPT_FILE:
        forbidden = forbidden - {"asyncio"}  # the library's loop
    return [str(found) for found in find_imports(path, tree) if found.root in forbidden]


def forbidden_in_a_node(path: str, tree: ast.Module) -> list[str]:
    """Imports that would tie a stage's state machine to a clock, to threads, or to the real network."""
    folder, _, file = path.partition("/")
    if folder == "common" or file in NOT_OF_THE_NODE:
        return []
    outside = RUNS_THE_NODE | {f"{stage}.{Path(file).stem}" for stage in STAGES for file in NOT_OF_THE_NODE}
    return [str(found) for found in find_imports(path, tree)
            if found.root in OUTSIDE_THE_NODE or ".".join(found.name.split(".")[:2]) in outside]


def imports_by_name(path: str, tree: ast.Module) -> list[str]:
    """Imports of a module whose name is a value."""
    names = [Found(node.id, node.lineno) for node in ast.walk(tree) if isinstance(node, ast.Name)]
    members = [Found(f"{ast.unparse(node.value)}.{node.attr}", node.lineno)
               for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    imports = list(find_imports(path, tree))
    return [str(found) for found in [*names, *members, *imports]
            if found.root in BY_NAME or found.name == "sys.modules" or found.name.endswith(".__import__")]


def without_docstring(path: str, tree: ast.Module) -> list[str]:
    """The module and its public classes, functions and methods that lack a docstring."""
    named = [Found(path, 1)] if not ast.get_docstring(tree) else []
    return [str(found) for found in [*named, *_unexplained(tree)]]


def _unexplained(node: ast.AST) -> Iterator[Found]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _unexplained(child)  # `if` and `try` hold definitions too
        elif not child.name.startswith("_"):
            if not ast.get_docstring(child) and not _is_part_of_another(child):
                yield Found(child.name, child.lineno)
            if isinstance(child, ast.ClassDef):
                yield from _unexplained(child)


def _is_part_of_another(definition: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Does another definition of the same name have the docstring, as for a setter or an overload?"""
    decorators = {ast.unparse(decorator) for decorator in definition.decorator_list}
    return not decorators.isdisjoint({"overload", f"{definition.name}.setter", f"{definition.name}.deleter"})


Rule = Callable[[str, ast.Module], list[str]]
"""A rule gets the path and the content of a file, and lists what breaks the rule."""

RULES: list[Rule] = [forbidden_by_place, forbidden_sockets_and_threads, forbidden_in_a_node, imports_by_name,
                     without_docstring]


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("rule", RULES)
def test_the_files_keep_the_house_rules(rule: Rule, path: str) -> None:
    broken = rule(path, ast.parse((ROOT / path).read_bytes()))
    assert not broken, f"{rule.__name__.replace('_', ' ')}: {path}\n" + "\n".join(broken)


# --- lab/blackbox, which knows a node only from outside -------------------------------------------

BLACKBOX = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "lab" / "blackbox").glob("*.py"))


@pytest.mark.parametrize("path", BLACKBOX)
def test_lab_blackbox_imports_nothing_of_the_project(path: str) -> None:
    found = list(find_imports(path, ast.parse((ROOT / path).read_bytes())))
    outside = [str(one) for one in found if one.root not in sys.stdlib_module_names]
    assert [one for one in outside if ": lab.blackbox." not in one] == []
    assert not imports_by_name(path, ast.parse((ROOT / path).read_bytes()))


def test_it_works_where_nothing_else_of_the_project_is(tmp_path: Path) -> None:
    assert {Path(path).name for path in BLACKBOX} == {"__init__.py", "keys.py", "messages.py", "node_process.py", "peer.py"}
    shutil.copytree(ROOT / "lab" / "blackbox", tmp_path / "lab" / "blackbox")
    code = "from lab.blackbox import node_process, peer; print(node_process.__file__, peer.__file__)"
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.count(str(tmp_path)) == 2, done.stderr


# --- the table of hooks ---------------------------------------------------------------------------

def methods_of_nodes(stages: list[str]) -> dict[str, list[ast.FunctionDef]]:
    """The methods of the node classes of these stages, by name, the earliest stage first."""
    trees = [ast.parse((ROOT / path).read_bytes()) for stage in stages for path in FILES if path.startswith(f"{stage}/")]
    found: dict[str, list[ast.FunctionDef]] = {}
    for one in (one for tree in trees for one in tree.body if isinstance(one, ast.ClassDef) and one.name.endswith("Node")):
        for method in one.body:
            if isinstance(method, ast.FunctionDef):
                found.setdefault(method.name, []).append(method)
    return found


def is_said_to_be_a_hook(methods: list[ast.FunctionDef]) -> bool:
    return any(re.search(r"\b[Aa]\s+hook\b", ast.get_docstring(method) or "") for method in methods)


def test_the_table_of_hooks_has_all_hooks_of_stages_1_to_3_and_no_other_methods_of_theirs() -> None:
    """Hooks that stages 4 and 5 introduce may be missing."""
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8").partition("| hook |")[2].partition("\n\n")[0]
    named = [name for line in page.splitlines() for name in re.findall(r"`(\w+)`", line.split("|")[1])]
    assert len(named) == len(set(named)) > 30
    early, all_methods = methods_of_nodes(STAGES[:3]), methods_of_nodes(STAGES)
    hooks = {name for name, methods in early.items() if is_said_to_be_a_hook(methods)}
    assert hooks - set(named) == set(), "not in the table"
    assert (set(named) & set(early)) - hooks == set(), "not said to be a hook"
    assert set(named) - set(all_methods) == set(), "no method of a node"


@pytest.mark.parametrize("number", [2, 3, 4, 5])
def test_the_table_of_hooks_says_what_a_stage_overrides(number: int) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8").partition("| hook |")[2].partition("\n\n")[0]
    rows = [(line.split("|")[number + 1].strip(), name) for line in page.splitlines() if line.count("|") == 7
            for name in re.findall(r"`(\w+)`", line.split("|")[1])]
    early = methods_of_nodes(STAGES[:min(number - 1, 3)]).keys() - {"__init__"}  # see above
    assert {name for cell, name in rows if cell} & early == methods_of_nodes(STAGES[number - 1:number]).keys() & early


def test_all_five_stages_exist() -> None:
    """Otherwise a rule might hold only because there is nothing to check. A sixth stage must enter the table above."""
    assert sorted({path.partition("/")[0] for path in FILES}) == sorted(MAY_IMPORT)
    expected = {f"{stage}/{file}" for stage in STAGES for file in ("node.py", "__main__.py")}
    assert expected | CRYPTO_FILES | THREAD_FILES <= set(FILES)


NODE = "stage2_ledger/node.py"
BROKEN = [
    (forbidden_by_place, "common/ledger.py", "import stage1_chat.node", "line 1: stage1_chat.node"),
    (forbidden_by_place, "common/ledger.py", "def f():\n from lab import bench", "line 2: lab.bench"),
    (forbidden_by_place, "stage1_chat/node.py", "from stage2_ledger import node", "line 1: stage2_ledger.node"),
    (forbidden_by_place, "stage4_sequencer/node.py", "import os, stage2_ledger", "line 1: stage2_ledger"),
    (forbidden_by_place, NODE, "if TYPE_CHECKING:\n from lab.bench import Row", "line 2: lab.bench.Row"),
    (forbidden_by_place, NODE, "from tests import processes", "line 1: tests.processes"),
    (forbidden_by_place, NODE, "from ..stage3_signed import node", "line 1: stage3_signed.node"),
    (forbidden_by_place, NODE, "import numpy", "line 1: numpy"),
    (forbidden_by_place, NODE, "from Crypto.Hash import SHA256", "line 1: Crypto.Hash.SHA256"),
    (forbidden_by_place, "common/encoding.py", "import Crypto.Hash", "line 1: Crypto.Hash"),
    (forbidden_by_place, "stage6_shards/node.py", "import stage5_pos", "line 1: stage5_pos"),
    (forbidden_sockets_and_threads, "stage1_chat/peering.py", "import socket as s", "line 1: socket"),
    (forbidden_sockets_and_threads, "stage5_pos/__main__.py", "from threading import Lock", "line 1: threading.Lock"),
    (forbidden_sockets_and_threads, "common/framing.py", "import concurrent.futures", "line 1: concurrent.futures"),
    (forbidden_sockets_and_threads, "common/prompt.py", "import threading, socket", "line 1: socket"),
    (forbidden_sockets_and_threads, "common/console.py", "import asyncio", "line 1: asyncio"),
    (forbidden_by_place, "common/console.py", "import prompt_toolkit", "line 1: prompt_toolkit"),
    (forbidden_in_a_node, NODE, "class A:\n def f(self):\n  from time import time", "line 3: time.time"),
    (forbidden_in_a_node, NODE, "import socket", "line 1: socket"),
    (forbidden_in_a_node, NODE, "import threading", "line 1: threading"),
    (forbidden_in_a_node, "stage2_ledger/reconcile.py", "import queue", "line 1: queue"),
    (forbidden_in_a_node, NODE, "from stage1_chat.openings import Openings", "line 1: stage1_chat.openings.Openings"),
    (forbidden_in_a_node, "stage1_chat/node.py", "from . import openings", "line 1: stage1_chat.openings"),
    (forbidden_in_a_node, "stage1_chat/node.py", "from .openings import A", "line 1: stage1_chat.openings.A"),
    (forbidden_in_a_node, NODE, "from common.network import Node", "line 1: common.network.Node"),
    (forbidden_in_a_node, NODE, "import stage1_chat.__main__", "line 1: stage1_chat.__main__"),
    (imports_by_name, NODE, "socket = __import__('socket')", "line 1: __import__"),
    (imports_by_name, NODE, "from importlib import import_module as f", "line 1: importlib.import_module"),
    (imports_by_name, NODE, "import sys\nsocket = sys.modules['socket']", "line 2: sys.modules"),
    (imports_by_name, "common/ledger.py", "exec('import socket')", "line 1: exec"),
    (without_docstring, NODE, "x = 1", "line 1: stage2_ledger/node.py"),
    (without_docstring, NODE, "def f(): pass", "line 1: f"),
    (without_docstring, NODE, "class A:\n x = 1", "line 1: A"),
    (without_docstring, NODE, "class A:\n ' '", "line 1: A"),
    (without_docstring, NODE, "class A:\n 'A'\n async def f(self): pass", "line 3: f"),
    (without_docstring, NODE, "if True:\n def f(): pass", "line 2: f"),
]


@pytest.mark.parametrize("rule, path, source, complaint", BROKEN)
def test_a_rule_notices_what_breaks_it(rule: Rule, path: str, source: str, complaint: str) -> None:
    assert complaint in rule(path, ast.parse(source))


KEPT = [
    (NODE, "import os.path, stage1_chat.node\nfrom common import limits\nfrom .membership import Membership"),
    ("common/rsa.py", "from Crypto.PublicKey import RSA"),
    (OPENINGS_FILE, "import queue, socket, threading, time\nfrom stage1_chat.node import ChatNode"),
    ("common/prompt.py", "import asyncio, threading, prompt_toolkit"),
    ("stage2_ledger/__main__.py", "import time\nfrom stage1_chat.openings import Openings"),
    (NODE, "def _f(): pass\nclass _A:\n def f(self): pass\nclass A:\n 'A'\n def __len__(self):\n  def inner(): pass"),
    (NODE, "class A:\n 'A'\n @property\n def f(self): 'F'\n @f.setter\n def f(self, value): pass"),
]


@pytest.mark.parametrize("path, source", KEPT)
def test_no_rule_complains_of_what_is_allowed(path: str, source: str) -> None:
    tree = ast.parse(f"'''A module.'''\n{source}")
    assert [rule(path, tree) for rule in RULES] == [[]] * len(RULES)
