"""The test vectors are what the code does, the code refuses what they say is refused, and a program that shares no code
with the project finds each value in them right."""

import ast
import copy
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest

from common.encoding import decode_frame, encode_frame
from common.rsa import InvalidAccount, InvalidSignature, check_account, verify
from lab.simulation import World
from stage2_ledger.node import LedgerNode
from tests.house import second_opinion
from tests.house.test_house import ROOT
from tests.house.vectors import COMMAND, PAGE, make_page

VECTORS = json.loads(PAGE.read_text("ascii"))
OPINION = second_opinion.__file__


def test_the_file_is_what_the_code_makes() -> None:
    assert PAGE.read_text("ascii") == make_page(), f"{COMMAND} brings docs/vectors.json up to date"


def test_the_contract_says_what_is_in_each_part() -> None:
    section = (ROOT / "docs" / "contract.md").read_text("utf-8").partition("## 6. Test vectors")[2].partition("\n## ")[0]
    assert re.findall(r"(?m)^\| `(\w+)` \|", section) == [part for part in VECTORS if part != "about"]


# --- what the code does with them -----------------------------------------------------------------

def test_a_frame_is_read_as_its_message() -> None:
    for row in VECTORS["frames"]:
        assert decode_frame(bytes.fromhex(row["frame"])) == row["message"]


def test_a_node_knows_chat_and_transactions_by_the_ids_of_the_vectors() -> None:
    chat, transaction = (next(row for row in VECTORS["messages"] if row["message"]["type"] == kind)
                         for kind in ("chat", "transaction"))
    node = World(1).add(LedgerNode)
    for row in (chat, transaction):
        node.network_name = row["network"]
        node.parts.find_handler(row["message"]["type"], node)(None, row["message"], encode_frame(row["message"]))
    assert [*node.history, *node.transactions] == [chat["id"], transaction["id"]]


@pytest.mark.parametrize("row", VECTORS["refused_accounts"], ids=lambda row: row["reason"])
def test_what_is_not_an_account_is_refused(row: dict[str, str]) -> None:
    with pytest.raises(InvalidAccount):
        check_account(row["account"])


def test_signatures_hold() -> None:
    for row in VECTORS["signatures"]:
        verify(row["account"], bytes.fromhex(row["bytes"]), row["signature"])


@pytest.mark.parametrize("row", VECTORS["refused_signatures"], ids=lambda row: row["reason"])
def test_what_is_not_a_signature_is_refused(row: dict[str, str]) -> None:
    with pytest.raises(InvalidSignature):
        verify(row["account"], bytes.fromhex(row["bytes"]), row["signature"])


def test_there_is_a_message_of_each_type_that_has_an_id() -> None:
    kinds = [(row["message"]["type"], len(row["message"])) for row in VECTORS["messages"]]
    assert len(set(kinds)) == 8 and {kind for kind, _ in kinds} == {"chat", "presence", "transaction", "block", "genesis"}


def test_one_draw_wins_and_one_does_not() -> None:
    assert sorted(row["wins"] for row in VECTORS["lottery"]["draws"]) == [False, True]


# --- the second opinion ---------------------------------------------------------------------------

def test_the_second_opinion_confirms_all() -> None:
    done = subprocess.run([sys.executable, "-I", OPINION, PAGE], capture_output=True, text=True, cwd="/")
    assert (done.stdout, done.stderr, done.returncode) == ("all 10 parts are confirmed\n", "", 0)


def test_it_shares_no_code_with_the_project() -> None:
    tree = ast.parse(Path(OPINION).read_bytes())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} - sys.stdlib_module_names == {"cryptography"}


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to each text and number in a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if inner is None:
        yield path
    else:
        for key, one in inner:
            yield from leaves(one, (*path, key))


def changed(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, str):
        return value[:-9] + ("1" if value[-9:-8] == "0" else "0") + value[-8:] if len(value) > 8 else value + "0"
    return not value if isinstance(value, bool) else "1" if value is None else value + 1


TELL_NOTHING = {"reason", "private_key", "answer", "type"}
"""Members that are not changed: a type decides which others there are, and a private key is checked by its account."""


@pytest.mark.parametrize("part", [part for part in second_opinion.CHECKS if not part.startswith("refused")])
def test_it_sees_each_value_that_is_changed(part: str) -> None:
    unseen = []
    for path in leaves(VECTORS[part]):
        if path[-1] not in TELL_NOTHING:
            vectors = copy.deepcopy(VECTORS[part])
            place = reduce(getitem, path[:-1], vectors)
            place[path[-1]] = changed(place[path[-1]])
            if not list(second_opinion.CHECKS[part](vectors)):
                unseen.append(path)
    assert unseen == []


@pytest.mark.parametrize("part", ["accounts", "signatures"])
def test_it_sees_that_something_good_is_called_refused(part: str) -> None:
    good = [{**row, "reason": "no reason"} for row in (VECTORS["keys"] if part == "accounts" else VECTORS[part])]
    assert list(second_opinion.CHECKS[f"refused_{part}"](good)) == ["no reason"] * len(good)
