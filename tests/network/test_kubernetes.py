"""docs/kubernetes: the manifests against the schemas of Kubernetes, and their commands as processes on loopback."""

import copy
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml  # type: ignore[import-untyped]

from lab.experiments.cluster import open_cluster
from lab.experiments.lottery import Lottery
from tests.conftest import Launch
from tests.processes import ROOT, STAGES, unused_address

FOLDER = ROOT / "docs" / "kubernetes"
Resource = dict[str, Any]


def read(file: str) -> list[Resource]:
    """The resources of a manifest."""
    return list(yaml.safe_load_all((FOLDER / file).read_text()))


NETWORK, SWEEP = read("network.yaml"), read("sweep.yaml")


def of_kind(resources: list[Resource], kind: str) -> list[Resource]:
    """The resources of one kind."""
    return [one for one in resources if one["kind"] == kind]


def pods(resources: list[Resource]) -> list[Resource]:
    """The templates of pods."""
    return [one["spec"]["template"] for one in resources if "template" in one["spec"]]


def container(resource: Resource) -> Resource:
    """The only container of its pods."""
    [found] = resource["spec"]["template"]["spec"]["containers"]
    return dict(found)


# --- the manifests --------------------------------------------------------------------------------

@pytest.mark.parametrize("resource", [*NETWORK, *SWEEP], ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_each_resource_is_what_its_schema_says(resource: Resource) -> None:
    version = kubernetes_validate.latest_version()
    kubernetes_validate.validate(resource, version, strict=True)
    broken = copy.deepcopy(resource)
    broken["spec"]["replica"] = 3
    with pytest.raises(kubernetes_validate.ValidationError, match="'replica' was unexpected"):
        kubernetes_validate.validate(broken, version, strict=True)


@pytest.mark.parametrize("resources", [NETWORK, SWEEP])
def test_selectors_select_the_pods_that_are_there(resources: list[Resource]) -> None:
    labels = [pod["metadata"]["labels"] for pod in pods(resources)]
    for service in of_kind(resources, "Service"):
        assert sum(service["spec"]["selector"].items() <= one.items() for one in labels) == 1
    for resource in resources:
        if "template" in resource["spec"]:
            assert resource["spec"]["selector"]["matchLabels"] == resource["spec"]["template"]["metadata"]["labels"]
    for policy in of_kind(resources, "NetworkPolicy"):
        assert all(policy["spec"]["podSelector"]["matchLabels"].items() <= one.items() for one in labels)


def test_the_image_has_what_nodes_and_experiments_need() -> None:
    dockerfile = (FOLDER / "Dockerfile").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for group in ("terminal", "lab", "experiments", "cluster")
                                          for one in project["optional-dependencies"][group])]
    [installed] = re.findall("^RUN pip install --no-cache-dir (.*)$", dockerfile, re.MULTILINE)
    assert sorted(installed.replace('"', "").split()) == sorted(one.partition(">")[0] for one in wanted)
    copied = re.findall(r"^COPY (\S+) /project/(\S+)$", dockerfile, re.MULTILINE)
    assert copied == [(name, name) for name in ("common", "lab", *STAGES.values())]
    user = int(re.findall(r"^USER (\d+)$", dockerfile, re.MULTILINE)[0])
    assert {pod["spec"]["securityContext"]["runAsUser"] for pod in pods(NETWORK + SWEEP)} == {user}
    assert {one["image"] for pod in pods(NETWORK + SWEEP) for one in pod["spec"]["containers"]} == {"five-ledgers"}


# --- their commands -------------------------------------------------------------------------------

def command_of(number: int, stage: int, folder: Path) -> list[str]:
    """What the container of this pod runs in the end: the arguments of python, after its shell has expanded them."""
    fake = folder / "bin" / "python"
    fake.parent.mkdir(exist_ok=True)
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    fake.chmod(0o755)
    node = container(of_kind(NETWORK, "StatefulSet")[0])
    assert [one["name"] for one in node["env"]] == ["STAGE", "POD"]
    environment = {"PATH": f"{fake.parent}:{os.environ['PATH']}", "STAGE": STAGES[stage], "POD": f"node-{number}"}
    run = subprocess.run([*node["command"], *node["args"]], env=environment, capture_output=True, text=True, timeout=60)
    assert run.stderr == ""
    return run.stdout.splitlines()


@pytest.mark.long
@pytest.mark.parametrize("stage", STAGES)
def test_ten_nodes_started_by_the_commands_of_the_pods_are_one_network(
        stage: int, launch: Launch, wallets: list[Path], genesis_keys: Path, tmp_path: Path) -> None:
    [stateful], [service] = of_kind(NETWORK, "StatefulSet"), of_kind(NETWORK, "Service")
    names = [f"{stateful['metadata']['name']}-{number}.{service['metadata']['name']}:5000" for number in range(10)]
    assert stateful["spec"]["replicas"] == 10 and stateful["spec"]["serviceName"] == service["metadata"]["name"]
    addresses = {name: unused_address() for name in names}
    needed = ["--wallet", str(wallets[0])] if stage >= 3 else []  # so that no test waits while a key is made
    needed += ["--keys", str(genesis_keys)] if stage == 5 else []
    nodes, options_of = [], []
    for number, name in enumerate(names):
        _, module, *options = [addresses.get(word, word) for word in command_of(number, stage, tmp_path)]
        given = dict(zip(options[:-1:2], options[1::2], strict=False))
        assert module == STAGES[stage] and given["--announce"] == addresses[name]
        options[options.index("--host") + 1], options[options.index("--port") + 1] = addresses[name].split(":")
        if stage > 1:
            options[options.index("--data") + 1] = str(tmp_path / f"data-{number}")
        nodes.append(launch(stage, *options, *needed))
        options_of.append(options)
    assert len({node.network for node in nodes}) == 1
    nodes[-1].type("hello")
    for node in nodes:
        node.wait_for("chat", text="hello")
    if stage > 1:  # a pod is started again: the founder, and another one
        for number in (0, 4):
            nodes[number].stop()
            assert launch(stage, *options_of[number], *needed).network == nodes[number].network


def test_each_pod_joins_the_one_before_it_and_the_first_one_founds(tmp_path: Path) -> None:
    peers = [command_of(number, 5, tmp_path)[3] for number in (0, 1, 9)]
    assert peers == ["none", "node-0.nodes:5000", "node-8.nodes:5000"]
    assert "--data" in command_of(0, 5, tmp_path) and "--data" not in command_of(0, 1, tmp_path)


@contextmanager
def running(*command: str) -> Iterator[None]:
    """A process, while this lasts."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, *command], env=environment, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


@pytest.mark.long
def test_a_sweep_runs_on_a_scheduler_and_a_worker_started_by_the_commands_of_the_manifest(tmp_path: Path) -> None:
    scheduler, worker = (container(one) for one in of_kind(SWEEP, "Deployment"))
    [service] = of_kind(SWEEP, "Service")
    assert scheduler["command"][0] == worker["command"][0] == "python"
    assert worker["args"][0] == f"tcp://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    host, port = unused_address().split(":")
    address = f"tcp://{host}:{port}"
    on_loopback = ["--host", host, "--dashboard-address", f"{host}:0", *(port if word == "8786" else word for word in scheduler["args"])]
    with (running(*scheduler["command"][1:], *on_loopback),
          running(*worker["command"][1:], address, *worker["args"][1:], "--host", host, "--local-directory", str(tmp_path)),
          open_cluster(address) as executor):
        point = Lottery().points(True)[0]
        assert executor.submit(Lottery().run, point, 5).result(timeout=60) == Lottery().run(point, 5)
