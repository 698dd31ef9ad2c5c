"""What all criteria have in common: their points, their words, and that they know a node only from outside."""

import ast
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

from lab.grade.criteria import FULL, Criterion, is_asked, share_out
from lab.grade.runner import list_criteria
from tests.processes import ROOT, STAGES

FILES = [path for stage in STAGES.values() for path in sorted((ROOT / "tests" / stage).glob("test_criteria*.py"))]
MAY_IMPORT = {"pytest", *sys.stdlib_module_names}


HOW: list[dict[str, bool]] = [{}, {"slow": True}, {"only_this_stage": True}, {"cli_only": True}]
"""Ways to leave some out, or to ask more."""


def test_points_and_words(tmp_path: Path) -> None:
    """One test, since listing all criteria takes a second."""
    criteria = list_criteria(5, tmp_path)
    assert [key for key, count in Counter(one.key for one in criteria).items() if count > 1] == []
    for one in criteria:
        assert re.fullmatch(r"[1-5]\.[0-9A-Za-z.-]+", one.key), "a key needs no quotes in a shell"
        assert one.rule.endswith(".") and len(one.title) <= 80 and "{" not in one.title, one
        assert re.fullmatch(r"§[1-4]( stage [1-5])?", one.clause), one
    for stage in STAGES:
        for how in HOW:
            check_stage([one for one in criteria if is_asked(one, stage, "", **how)], stage, **how)


def check_stage(asked: list[Criterion], stage: int, slow: bool = False, only_this_stage: bool = False,
                cli_only: bool = False) -> None:
    """What is asked of a stage has 100 points for the basics, and 100 for the hardening."""
    points = share_out(asked, stage)
    assert min(points.values()) > 0
    for hardening in (False, True):
        assert sum(points[one.key] for one in asked if one.hardening == hardening) == FULL
    if not (only_this_stage or cli_only or slow):
        assert 30 <= len(asked) <= 60
        assert any(one.stage < stage for one in asked) == (stage > 1)
    assert len(asked) >= 20
    assert all(one.cli for one in asked) or not cli_only
    assert all(one.stage == stage for one in asked) or not only_this_stage


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_criterion_knows_a_node_only_from_outside(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name in [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]:
                assert name.startswith(("lab.grade.", "lab.blackbox.")) or name.partition(".")[0] in MAY_IMPORT, name
    tests = [one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name.startswith("test_")]
    unmarked = [one.name for one in tests
                if not any("criterion(" in ast.unparse(decorator) for decorator in one.decorator_list)]
    assert not unmarked


def test_rounding_gives_away_all_points_in_the_same_way() -> None:
    three = [Criterion(f"1.{name}", name, 1, 1, "§1", "Rule.") for name in "abc"]
    assert share_out(three, 1) == {"1.a": 34, "1.b": 33, "1.c": 33} == share_out(three[::-1], 1)
