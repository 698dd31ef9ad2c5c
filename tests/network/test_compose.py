"""docs/compose.yaml, ten nodes in containers: its commands, word for word, as processes on loopback."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.conftest import Launch
from tests.processes import ROOT, STAGES, unused_address
from tests.sizes import and_long

FILE = ROOT / "docs" / "compose.yaml"


def read_services(stage: int) -> dict[str, Any]:
    """The services of the file, with STAGE set to the module of that stage."""
    content = yaml.safe_load(re.sub(r"\$\{STAGE:-\w+\}", STAGES[stage], FILE.read_text()))
    return dict(content["services"])


@pytest.mark.parametrize("stage", and_long([2], [1, 3, 4, 5]))
def test_ten_nodes_started_by_the_commands_of_the_compose_file_are_one_network(
        stage: int, launch: Launch, wallets: list[Path], genesis_keys: Path) -> None:
    services = read_services(stage)
    addresses = {f"{name}:5000": unused_address() for name in services}
    needed = ["--wallet", str(wallets[0])] if stage >= 3 else []  # so that no test waits while a key is made
    needed += ["--keys", str(genesis_keys)] if stage == 5 else []
    nodes = []
    for name, service in services.items():
        python, _, module, *options = [addresses.get(word, word) for word in [*service["entrypoint"], *service["command"]]]
        assert (python, module) == ("python", STAGES[stage])
        host, port = addresses[f"{name}:5000"].split(":")
        options[options.index("--host") + 1], options[options.index("--port") + 1] = host, port
        nodes.append(launch(stage, *options, *needed))
    assert len(nodes) == 10 and len({node.network for node in nodes}) == 1
    nodes[-1].type("hello")
    for node in nodes:
        node.wait_for("chat", text="hello")


def test_the_compose_file_names_only_what_exists() -> None:
    for name, service in read_services(5).items():
        project, _, inside = service["volumes"][0].partition(":")
        assert (FILE.parent / project).resolve() == ROOT and inside.startswith(service["environment"]["PYTHONPATH"] + ":")
        assert service["command"] == ["--peer", "none" if name == "node1" else f"node{int(name[4:]) - 1}:5000"]
        installed = service["build"]["dockerfile_inline"].split()
        assert {"pycryptodome", "prompt_toolkit"} <= set(installed), "what a node needs (pyproject.toml)"
