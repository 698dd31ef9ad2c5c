"""Stage 1 in a pseudo terminal: questions, prompt, control characters, Ctrl-C."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Call, Launch
from tests.processes import DEADLINE, ROOT, chat_message, eventually
from tests.screen import COLUMNS, Start, Terminal



def test_enter_at_the_first_question_founds_a_network(terminal: Start) -> None:
    one = terminal()
    one.see(lambda lines: "IP address" in lines[-1], "the question")
    one.press("\n")
    one.see_line("founded a network")
    one.press("hello\n")
    assert "> hello" in one.see_line("hello")


def test_host_and_port_of_a_peer_are_asked_for(terminal: Start, launch: Launch) -> None:
    peer = launch(1, "--peer", "none")
    host, _, port = peer.address.partition(":")
    one = terminal()
    one.see(lambda lines: "IP address" in lines[-1], "the first question")
    one.press(host + "\n")
    one.see(lambda lines: "port" in lines[-1], "the second question")
    one.press(port + "\n")
    assert not one.see_line(f"joined the network of {peer.address}")[2].startswith(">")


LONG = "a line longer than the screen is wide, " * 3 + "end"


@pytest.mark.parametrize("typed, keys, shown, cursor", [
    ("hal", "", "> hal", 5),
    (LONG, "", LONG[2 * COLUMNS - 2:], len(LONG) + 2 - 2 * COLUMNS),
    (LONG, "\x01", ("> " + LONG)[:COLUMNS].rstrip(), 2),
    ("hal", "\x1b[D\x1b[D", "> hal", 3),
    ("漢字" * 3, "", "> " + "漢字" * 3, 14)], ids=["short", "long", "beginning of long", "cursor inside", "wide"])
def test_a_half_typed_line_survives_arriving_messages(
        terminal: Start, launch: Launch, typed: str, keys: str, shown: str, cursor: int) -> None:
    one = terminal("--peer", "none")
    other = launch(1, "--peer", one.address)
    one.see_line(f"peer {other.address} is up")
    one.press(typed + keys)
    one.see_last(shown)
    for number in range(5):
        other.type(f"arrives {number}")
    lines = one.see(lambda lines: "arrives 4" in lines and lines[-1] == shown, "the prompt below the messages")
    assert [line for line in lines if line.startswith("arrives")] == [f"arrives {number}" for number in range(5)]
    assert sum(line.startswith("> ") for line in lines) == 1, lines
    assert one.cursor == cursor
    one.press("+\n")
    place = {"": len(typed), "\x01": 0, "\x1b[D\x1b[D": 1}[keys]
    other.wait_for("chat", text=typed[:place] + "+" + typed[place:])


def test_typed_lines_can_be_recalled_and_changed(terminal: Start, launch: Launch) -> None:
    one = terminal("--peer", "none")
    one.see_line("founded a network")
    for keys, said in [("one two\n", "one two"), ("\x1b[A\x17three\n", "one three"), ("\x1b[A\x1b[A\n", "one two"),
                       ("abc\x02\x08\n", "ac"), ("abc\x01\x04\n", "bc"), ("abc\x15\x05x\n", "x"),
                       ("abc\x02\x02\x0b\n", "a"), ("draft\x1b[A\x1b[B!\n", "draft!"), ("a\x07\n", "a")]:
        before = one.lines.count(said)
        one.press(keys)
        one.see(lambda lines, said=said, before=before: lines.count(said) == before + 1, said)  # type: ignore[misc]


def test_lines_are_searched_by_ctrl_r(terminal: Start) -> None:
    one = terminal("--peer", "none")
    one.see_line("founded a network")
    for line in ("one two", "three"):
        one.press(f"{line}\n")
        one.see_line(line)
    one.press("\x12e t\n")
    one.see_last("> one two")


MARKED = "\x1b[200~{}\x1b[201~"
"""How a terminal marks pasted text once it was asked to (xterm's bracketed paste)."""
KEY = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA" * 4


def asks(count: int) -> Callable[[list[str]], bool]:
    """A check: is the question about that many lines on the screen?"""
    return lambda lines: any(line.startswith(f"send {count} lines? y") for line in lines)


@pytest.mark.parametrize("way", [MARKED, "{}"], ids=["marked", "unmarked"])
@pytest.mark.parametrize("answer, said", [("y", ["mine: one", "two", "three"]), ("n\r", ["mine: one two three"])])
def test_several_pasted_lines_are_asked_about(
        terminal: Start, launch: Launch, way: str, answer: str, said: list[str]) -> None:
    one = terminal("--peer", "none")
    other = launch(1, "--peer", one.address)
    one.see_line(f"peer {other.address} is up")
    one.press("mine: ")
    one.see_last("> mine:")
    one.press(way.format("one\rtwo\rthree\r").removesuffix("\r"))
    one.see_last("three")
    one.press("\r")
    one.see_all(asks(3), "the question")
    for key in answer:
        one.press(key)
        one.see(lambda lines: lines[-1] == ">" if key in "y\r" else lines[-1] == "> mine: one two three", key)  # noqa: B023
    one.press("the end\r")
    other.wait_for("chat", text="the end")
    assert [chat["text"] for chat in other.all_of("chat")] == [*said, "the end"]


def test_one_pasted_line_waits_for_enter(terminal: Start, launch: Launch) -> None:
    one = terminal("--peer", "none")
    one.see_line("founded a network")
    one.press(MARKED.format("one \x1b[2Jline\x07\r\n"))
    one.see_last("> one [2Jline")
    one.press("\n")
    one.see_line("one [2Jline")


def test_a_key_that_is_copied_in_rows_is_one_word_again(terminal: Start, launch: Launch) -> None:
    one = terminal("--peer", "none")
    one.see_line("founded a network")
    rows = "\r".join(KEY[start:start + 50] for start in range(0, len(KEY), 50))
    one.press("//send " + MARKED.format(rows) + "\r")
    one.see_all(asks(4), "the question")
    one.press(" ")
    one.see(lambda lines: lines[-1].endswith(KEY[-10:]), "the key in one piece")
    one.press(" 5\r")
    one.see(lambda lines: "".join(lines[-5:]).endswith(f"/send {KEY} 5>"), "the message")


def test_hundreds_of_pasted_lines_are_all_said(terminal: Start, launch: Launch) -> None:
    one = terminal("--peer", "none")
    other = launch(1, "--peer", one.address)
    one.see_line(f"peer {other.address} is up")
    lines = [f"line {number} of a long paste" for number in range(500)]
    one.press(MARKED.format("\r".join(lines)) + "\r")
    one.see_all(asks(len(lines)), "the question")
    one.press("y")
    eventually(lambda: one.read_on() and bool(other.all_of("chat", text=lines[-1])), state=other.describe)
    assert [chat["text"] for chat in other.all_of("chat")] == lines


def test_commands_are_completed(terminal: Start) -> None:
    one = terminal("--peer", "none")
    one.see_line("founded a network")
    one.press("/pe\t")
    one.see_last("> /peers")
    one.press("\x15/he\t\n")
    one.see_line("> /help")


@pytest.mark.parametrize("lacks", ["TERM", "library"])
def test_plain_lines_are_read_if_there_is_no_editor(
        terminal: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lacks: str) -> None:
    if lacks == "library":
        (tmp_path / "prompt_toolkit.py").write_text("raise ImportError('it is not installed')")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    one = terminal(term="dumb" if lacks == "TERM" else "xterm")
    one.see(lambda lines: "IP address" in lines[-1], "the question")
    one.press("\n")
    one.see(lambda lines: any(line.startswith("listening on") for line in lines), "the address")
    assert one.lines[1] == "founded a network"
    one.press("hello\n")
    one.see(lambda lines: lines.count("hello") == 2, "the message below what was typed")
    one.press("\x04")
    assert one.wait_exit() == 0
    assert b"\x1b" not in one.output


def test_ctrl_z_stops_it_and_fg_lets_it_go_on(terminal: Start) -> None:
    one = terminal("--peer", "none", command=["bash", "-c", 'set -m; "$@"; echo stopped; fg >/dev/null', "bash"])
    one.see_line("founded a network")
    one.press("dra")
    one.see_last("> dra")
    one.press("\x1a")
    one.see(lambda lines: "stopped" in lines and lines[-1] == "> dra", "the draft again")
    one.press("ft\n")
    assert "stopped" in one.see_line("draft")
    one.press("\x04")
    assert one.wait_exit() == 0


def test_a_wide_message_does_not_break_the_prompt(terminal: Start, launch: Launch) -> None:
    one = terminal("--peer", "none")
    other = launch(1, "--peer", one.address)
    one.see_line(f"peer {other.address} is up")
    one.press("half")
    one.see_last("> half")
    other.type("x" * COLUMNS)
    other.type("y" * (COLUMNS + 1))
    one.see(lambda lines: lines[-4:] == ["x" * COLUMNS, "y" * COLUMNS, "y", "> half"], "both messages whole")


def test_no_peer_drives_the_terminal(terminal: Start, launch: Launch, call: Call) -> None:
    one = terminal("--peer", "none")
    other = launch(1, "--peer", one.address)
    peer = call(other)
    peer.hello()
    one.see_last(">")
    peer.send(chat_message("\x1b[2Jred\x07\r\x9b31m"))
    one.see_line(r"\x1b[2Jred\x07\x0d\x9b31m")
    assert b"\x1b[2J" not in one.output and b"\x07" not in one.output and b"\xc2\x9b" not in one.output


def test_the_end_of_input_at_a_question_founds_a_network(terminal: Start) -> None:
    one = terminal()
    one.see(lambda lines: "IP address" in lines[-1], "the first question")
    one.press("\x04")
    one.see_line("founded a network")
    one.press("\x04")
    assert one.wait_exit() == 0


@pytest.mark.parametrize("end", [lambda one: one.press("/quit\n"), lambda one: one.press("\x04"),
                                 lambda one: one.press("\x03"), lambda one: one.process.send_signal(signal.SIGTERM),
                                 lambda one: one.process.send_signal(signal.SIGINT)],
                         ids=["/quit", "Ctrl-D", "Ctrl-C", "SIGTERM", "SIGINT"])
def test_it_ends_cleanly_and_leaves_the_terminal_as_it_was(terminal: Start, end: Callable[[Terminal], None]) -> None:
    one = terminal("--peer", "none")
    one.see_line("founded a network")
    end(one)
    assert one.wait_exit() == 0
    assert termios.tcgetattr(one.device) == one.mode_before
    assert "Traceback" not in "\n".join(one.lines)
    assert one.lines[-1] == "", "the shell's prompt begins on a line of its own"


@pytest.mark.parametrize("questions", [["IP address"], ["IP address", "port"]], ids=["first", "second"])
@pytest.mark.parametrize("end", [lambda one: one.press("\x03"), lambda one: one.process.send_signal(signal.SIGTERM)],
                         ids=["Ctrl-C", "SIGTERM"])
def test_it_ends_cleanly_at_a_question_too(
        terminal: Start, questions: list[str], end: Callable[[Terminal], None]) -> None:
    one = terminal()
    for number, question in enumerate(questions):
        one.press("127.0.0.1\n" * min(number, 1))
        one.see(lambda lines, question=question: question in lines[-1], question)  # type: ignore[misc]
        one.wait_until_it_waits()
    end(one)
    assert one.wait_exit() == 0
    assert termios.tcgetattr(one.device) == one.mode_before
    assert "Traceback" not in "\n".join(one.lines)


def test_typed_text_is_shown_even_if_the_terminal_does_not_say_how_wide_it_is(terminal: Start) -> None:
    one = terminal("--peer", "none")
    fcntl.ioctl(one.device, termios.TIOCSWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
    one.see_line("founded a network")
    one.press("hello")
    one.see_last("> hello")


@pytest.mark.parametrize(("options", "keys", "shown"), [([], b"", b"IP address"), (["--peer", "none"], b"", b"\x1b[?2004h"),
                                                        (["--peer", "none"], b"hello", b"\x1b[?2004h"),
                                                        (["--peer", "none", "--json"], b"", b"listening")],
                         ids=["question", "prompt", "line", "json"])
def test_a_terminal_that_is_gone_is_the_end_of_input(options: list[str], keys: bytes, shown: bytes) -> None:
    keyboard, device = pty.openpty()
    # Not its controlling terminal: otherwise a hang-up signal would come first.
    with subprocess.Popen([sys.executable, "-m", "stage1_chat", *options], cwd=ROOT, stdin=device, stdout=device,
                          stderr=subprocess.PIPE, env={**os.environ, "TERM": "xterm"}) as process:
        os.close(device)
        os.write(keyboard, keys)
        output = b""
        while shown not in output or b"listening" not in output + b"listening" * (not options):
            output += os.read(keyboard, 4_096)
        os.close(keyboard)
        timer = threading.Timer(DEADLINE, process.kill)
        timer.start()
        assert process.stderr and process.stderr.read() == b""
        timer.cancel()
        assert process.wait(DEADLINE) == 0


def test_an_answer_that_is_not_utf8_is_treated_like_one_that_is_not_an_address(
        terminal: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8:strict")
    one = terminal()
    one.see(lambda lines: "IP address" in lines[-1], "the first question")
    os.write(one.keyboard, b"\xff\n")
    one.see(lambda lines: "port" in lines[-1], "the second question")
    os.write(one.keyboard, b"\xfe\n")
    one.see_line("founded a network")
