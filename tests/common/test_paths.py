"""Options that are paths: a `~` that the shell did not replace is the home folder (contract §4)."""

import re
from pathlib import Path

import pytest

from common.console import make_options, read_path
from lab.attacks import attacks
from lab.bench import bench
from lab.compare import compare
from lab.handout import handout
from lab.live import live
from lab.soak import soak
from stage5_pos.__main__ import StakeClient
from tests.processes import ROOT


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("option", ["--data", "--wallet", "--keys"])
def test_a_tilde_is_the_home_folder_in_every_option_of_a_node(home: Path, option: str) -> None:
    options = make_options("node", "")
    StakeClient().add_options(options)
    for words in ([f"{option}=~/x y"], [option, "~/x y"]):
        assert getattr(options.parse_args(words), option.removeprefix("--")) == home / "x y"
    assert getattr(options.parse_args([option, "~/~"]), option.removeprefix("--")) == home / "~"
    assert getattr(options.parse_args([option, "./~"]), option.removeprefix("--")) == Path("~")


@pytest.mark.parametrize("program, option, more", [
    (handout, "--to", ["--stage", "1"]), (compare, "--html", []), (attacks, "--html", []), (attacks, "--keys", []),
    (bench, "--keys", []), (live, "--keys", []), (soak, "--keys", [])])
def test_a_tilde_is_the_home_folder_in_options_of_the_tools(
    home: Path, program: object, option: str, more: list[str]) -> None:
    options = program.make_options().parse_args([*more, f"{option}=~/x"])  # type: ignore[attr-defined]
    assert getattr(options, option.removeprefix("--")) == home / "x"


def test_every_option_that_is_a_path_is_read_in_this_way() -> None:
    for file in [*ROOT.glob("stage*/*.py"), *ROOT.glob("lab/**/*.py"), *ROOT.glob("common/*.py")]:
        assert not re.search(r"type=(pathlib\.)?(Path|open|argparse\.FileType)", file.read_text()), file


@pytest.mark.parametrize("text, fault", [("~nobody-of-this-name/x", "no home folder"), ("", "expected a path")])
def test_a_wrong_path_gives_one_line(text: str, fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = make_options("node", "")
    options.add_argument("--data", type=read_path)
    with pytest.raises(SystemExit):
        options.parse_args([f"--data={text}"])
    said = capsys.readouterr().err
    assert fault in said and said.count("\n") == 1
