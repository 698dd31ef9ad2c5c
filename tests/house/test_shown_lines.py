"""Every text that a user or a peer may see was reviewed, and none is a bare message of the operating system."""

import ast
import errno
import os
import textwrap
import time

import pytest

from tests.house import shown_lines
from tests.house.shown_lines import ROOT, UPDATE, changes, find_all, find_foreign_words, find_shown, read_reviewed

HOW = f"""
These lines are not what tests/house/reviewed_lines.txt has. Review each line with a +: one line of plain English that
says what was wrong, what was expected and what to do. Then write the list again:

    {UPDATE}
"""


def test_every_shown_line_was_reviewed() -> None:
    found = changes(read_reviewed(), find_all())
    assert not found, "\n".join([HOW, *found])


def test_the_list_is_sorted_so_that_two_changes_rarely_conflict() -> None:
    lines = shown_lines.REVIEWED.read_text().splitlines()
    assert lines == sorted(set(lines))


def test_reading_all_files_is_cheap() -> None:
    started = time.process_time()
    find_all()
    assert time.process_time() - started < 5, "processor seconds; it should take one"


# --- words of the system ------------------------------------------------------------------------

A_DEFECT = "a defect of this program: whoever mends it needs to see what it is"
OURS = "the ValueErrors that come here are raised in this project, and their words are in the list"

MAY_USE_FOREIGN_WORDS = {
    "common/advice.py: _words": "what to do comes after it, always",
    "common/advice.py: describe_error": "the errors that are not the system's have words of this project",
    "common/journal.py: Journal._as_journal_errors": "SQLite's words have _advice after them",
    "common/journal.py: Journal._take_lock": "what to do comes after it",
    "common/rsa.py: _read_account": OURS,
    "common/rsa.py: _read_signature": OURS,
    "lab/schedules/keyed_hash.py: check_account": OURS,
    "stage2_ledger/keeping.py: Keeper.replay": OURS,
    "stage3_signed/node.py: SignedNode.check_transaction": OURS,
    "stage4_sequencer/block.py: check_signed": OURS,
    "stage4_sequencer/total_order.py: TotalOrderNode.on_genesis": OURS,
    "lab/gradeall/launch.py: main": "it imports nothing of the project, and its words are the student's node's",
    "lab/gradeall/points.py: read_points": "tomllib says in which line a file is wrong",
    "lab/gradeall/submissions.py: read_form": "tomllib says in which line a file is wrong",
    "lab/grade/scene.py: setting_up": "what has failed is told to whoever has written the node",
    "lab/grade/shortcomings.py: judge": "the words are those of lab/blackbox and lab/grade, or name a defect of the grader",
    "lab/handout/pristine.py: main": "the words are those of lab/tasks/table.py",
    "lab/tasks/explain.py: describe_assertion": "a failed test shows what the student's code has said",
    "lab/tasks/explain.py: describe_exception": "a failed test shows what the student's code has raised",
    "lab/tasks/explain.py: find_unwritten": "a failed test names the function that is not written",
    "lab/tasks/table.py: parse_table": "tomllib says in which line a file is wrong",
    "lab/tasks/tasks.py: main": "the words are those of lab/tasks/table.py",
    "lab/handout/handout.py: main": "argparse's error is raised in this file, for want of a better one",
    "lab/attacks/attacks.py: Run.measure": A_DEFECT,
    "lab/live/live.py: Conductor._run": A_DEFECT,
    "lab/schedules/schedules.py: try_schedule": A_DEFECT,
    "common/network.py: ThreadedNetwork.do": A_DEFECT,
}
"""Place where a foreign exception is turned into text -> why that is right."""


def test_words_of_the_system_reach_the_user_only_with_advice() -> None:
    found = set(find_foreign_words(shown_lines.read_sources()))
    unexpected = found - MAY_USE_FOREIGN_WORDS.keys()
    assert not unexpected, (f"{sorted(unexpected)}: an exception that is not the project's own is turned into text here."
                            " Use common/advice.py, or say in MAY_USE_FOREIGN_WORDS why this is right")
    assert not MAY_USE_FOREIGN_WORDS.keys() - found, "nothing is made of foreign words there any longer"


def test_no_line_is_a_bare_message_of_the_system() -> None:
    words = {os.strerror(number) for number in errno.errorcode}
    assert [line for line in read_reviewed() if line.partition(": ")[2].strip(" .{}:") in words] == []


# --- the finder ---------------------------------------------------------------------------------

def shown_in(code: str) -> set[str]:
    """The texts that are found in a piece of code."""
    return {text for _, text in find_shown({"common/x.py": ast.parse(textwrap.dedent(code))})}


@pytest.mark.parametrize("code", [
    "def f():\n reason = 'gone'\n print(reason)",
    "def f():\n reason = 'gone' if is_gone else 'there'\n raise ValueError(f'{path}: {reason}')",
    "def f():\n if (reason := 'gone'): print(reason)",
    "def f():\n word = 'gone'\n reason = word\n print(reason)",
    "WHAT = {1: 'gone'}\ndef f(): print(WHAT[n])",
    "WHAT: dict[int, str] = {1: 'gone'}\ndef f():\n lacking = WHAT.get(n)\n print(f'{lacking}')",
    "def f(): print(WHAT.get(n, 'gone'))",
])
def test_a_variable_is_traced_to_its_values(code: str) -> None:
    assert "gone" in shown_in(code)
    assert "gone" not in shown_in(code.replace("print(", "keep(").replace("raise ValueError(", "keep("))


@pytest.mark.parametrize(("code", "text"), [
    ("print('gone')", "gone"),
    ("print(f'{name}: gone', file=sys.stderr)", "{}: gone"),
    ("print('gone' if is_gone else 'there')", "there"),
    ("print(reason or 'gone')", "gone"),
    ("print('all ' + rest)", "all"),
    ("sys.exit('gone')", "gone"),
    ("parser.error('gone')", "gone"),
    ("parser.exit(2, f'{name} gone\\n')", "{} gone"),
    ("options.add_argument('--host', help='where')", "where"),
    ("Options(prog=name, description='a chat room')", "a chat room"),
    ("getpass.getpass('passphrase')", "passphrase"),
    ("self.report('error', code='NETWORK', reason='gone')", "gone"),
    ("raise ValueError('gone')", "gone"),
    ("raise argparse.ArgumentTypeError('gone')", "gone"),
    ("class Lost(Exception): pass\nraise Lost('gone')", "gone"),
    ("class Lost(CommandError): pass\nraise Lost('gone', 'CODE')", "gone"),
    ("class Lost(Exception): pass\nclass Found(Lost): pass\nraise Found(f'gone {what}')", "gone {}"),
    ("class Lost(socket.gaierror, OSError): pass\nerror = Lost(2, 'gone')", "gone"),
    ("raise library.Odd('gone')", "gone"),
    ("REASON = 'it is gone'\ndef why(): return REASON", "it is gone"),
    ("TABLE = {1: 'it is gone'}", "it is gone"),
    ("reason = f'{what} is gone' + more", "{} is gone"),
    ("x = f\"{'it is gone' if a else b}\"", "it is gone"),
    ("def f(reason='it is gone'): pass", "it is gone"),
    ("return_value = lambda m: ['it is gone']", "it is gone"),
    ("table.add_column('stage')", "stage"),
    ("Command('/help', 'commands')", "commands"),
    ("Field(is_good, 'digits')", "digits"),
    ("Field(is_good, expected='digits')", "digits"),
])
def test_each_kind_of_text_is_found(code: str, text: str) -> None:
    assert text in shown_in(code)


PASSED_ON = """
    class Node:
        def report_error(self, code, reason):
            self.report("error", code=code, reason=reason)
        def refuse(self, connection, code, reason):
            self.tell_of(connection, code, f"{connection}: {reason}")
        def tell_of(self, connection, code, line):
            self.report_error(code, line)
    class Told(Thing):
        def __init__(self, text):
            print(text)
"""


@pytest.mark.parametrize("call", ["self.report_error('CODE', 'gone')", "node.refuse(connection, 'CODE', 'gone')",
                                  "node.refuse(connection, 'CODE', reason='gone')", "Told('gone')"])
def test_a_function_that_passes_a_text_on_shows_it(call: str) -> None:
    assert "gone" in shown_in(textwrap.dedent(PASSED_ON) + call)
    assert "gone" not in shown_in(textwrap.dedent(PASSED_ON) + call.replace("e(", "e_not(").replace("r(", "r_not(")
                                  .replace("d(", "d_not("))


@pytest.mark.parametrize("code", [
    '"""A docstring of several words."""',
    "def f():\n    'A docstring of several words.'",
    "assert x, 'this should hold'",
    "x: 'Prompt | None' = None",
    "def f(x: 'Prompt | None') -> 'Prompt | None': pass",
    "database.execute('SELECT all FROM it')",
    "start_thread('standard input', run)",
    "re.compile('[a-z]+ [a-z]+')",
    "x = 'word'",
    "x = f'{a} {b}: {c:>10}'",
    "self.report_error('NETWORK', reason)",
    "print('', end='')",
    "style = 'bold red'",
])
def test_a_text_that_nobody_sees_is_not_found(code: str) -> None:
    assert shown_in(code) == set()


def test_each_line_of_a_text_is_found_and_of_a_page_only_what_readers_see() -> None:
    assert shown_in("print('one line\\n  another line\\n\\n')") == {"one line", "another line"}
    assert shown_in("x = '<p class=\"pale\">one line</p>'") == {"one line"}
    assert shown_in("print('\\x1b[Kit is gone')") == {"\\x1b[Kit is gone"}


def test_every_exception_of_the_project_is_known_to_the_finder() -> None:
    trees = list(shown_lines.read_sources().values())
    own = shown_lines.own_exceptions(trees)
    assert {"CannotStart", "JournalError", "InvalidGenesis", "PlaygroundError"} <= own
    showing = shown_lines.find_showing(trees)
    assert all("*" in showing[name] for name in own | {"KeyError", "ValidationError"})


@pytest.mark.parametrize("body", [
    "except OSError as error: print(f'gone: {error}')",
    "except OSError as error: reason = str(error)",
    "except OSError as error: return error.strerror or 'gone'",
    "except (ValueError, Lost) as error: raise Lost(f'gone: {error}')",
    "except sqlite3.Error as error: raise Lost(error.args[0])",
    "except Exception: traceback.print_exc()",
    "except OSError as error: return os.strerror(error.errno)",
    "except OSError as error: return getattr(error, 'strerror')",
])
def test_foreign_words_are_found(body: str) -> None:
    code = f"class Lost(Exception): pass\ndef f():\n    try: g()\n    {body}"
    assert list(find_foreign_words({"x.py": ast.parse(code)})) == ["x.py: f"]


def test_foreign_words_are_found_in_a_function_that_is_given_the_error() -> None:
    code = "class Node:\n    def on_failed(self, error: OSError | UnicodeError): print(f'gone: {error}')"
    assert list(find_foreign_words({"x.py": ast.parse(code)})) == ["x.py: Node.on_failed"]


@pytest.mark.parametrize("body", ["except Lost as error: raise Other(str(error))", "except OSError: print('gone')",
                                  "except OSError as error: self.put(error)",
                                  "except (Lost, lab.Other) as error: print(f'{error}')"])
def test_words_of_the_project_are_not_foreign(body: str) -> None:
    code = f"class Lost(Exception): pass\nclass Other(Lost): pass\ndef f():\n    try: g()\n    {body}"
    assert list(find_foreign_words({"x.py": ast.parse(code)})) == []


def test_the_texts_of_the_makefile_are_found() -> None:
    found = {text for _, text in shown_lines.find_shown_by_make((ROOT / "Makefile").read_text())}
    assert {"all tests but those that take minutes; ARGS=\"-k fork\" goes to pytest, here and below", "making $(VENV) with $(PYTHON)"} <= found


def test_the_failing_test_prints_what_to_change() -> None:
    assert changes({"a: old"}, {"a: new"}) == ["+ a: new", "- a: old"]
