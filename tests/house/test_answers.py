"""The code in docs/answers.md is that of today, and each of the twelve answers has some."""

from tests.house.answers import COMMAND, PAGE, all_functions, make_page, named_in, read_answers


def test_the_page_has_the_code_of_today() -> None:
    assert PAGE.read_text("utf-8") == make_page(), f"{COMMAND} brings docs/answers.md up to date"


def test_each_answer_names_functions() -> None:
    functions, answers = all_functions(), read_answers()
    assert len(answers) == 12
    assert [question for question, answer in answers.items() if len(named_in(answer, functions)) < 4] == []


def test_a_name_without_its_class_is_that_of_the_class_named_last_that_has_it() -> None:
    answer = "`Tree.add` in `stage5_pos/tree.py` calls `path`, and `TreeLedger.follow` in `stage5_pos/ledger.py` `_undo`."
    names = [one.name for one in named_in(answer, all_functions())]
    assert names == ["Tree.add", "Tree.path", "TreeLedger.follow", "TreeLedger._undo"]


def test_of_two_classes_with_one_name_it_is_that_of_a_file_that_the_answer_names() -> None:
    for file in ("stage2_ledger/reconcile.py", "stage4_sequencer/order.py"):
        assert {one.file for one in named_in(f"`Comparison.__init__` in `{file}`", all_functions())} == {file}
