"""Starts the nodes of the playground, honest or not, with their keys, data and peers."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.nodes.faults import Place
from lab.nodes.processes import START_SECONDS, NodeProcess
from lab.nodes.workload import PASSPHRASE, KeyRing
from stage5_pos.__main__ import STAKE_HOLDERS


@dataclass(frozen=True)
class Settings:
    """The size of the network, and how it is founded."""

    stage: int
    nodes: int
    seed: int
    founding: tuple[str, ...] = ()
    """Options for the node that founds the network."""


class Launcher:
    """Starts the client of a node, or an adversary in its place."""

    def __init__(self, settings: Settings, keys: KeyRing | None, folder: Path) -> None:
        """`keys` are for stages 3 to 5; the nodes' data goes into `folder`."""
        self.settings, self._keys, self._folder = settings, keys, folder
        self.evil: dict[int, str] = {}
        """Node -> the name of the adversary in its place."""
        self._victims: dict[int, str] = {}
        """Node -> the account that its adversary works against, if it works against one."""

    @property
    def keys(self) -> KeyRing:
        """The keys, in a stage that has some."""
        assert self._keys is not None
        return self._keys

    def launch(self, number: int, place: Place, peer: str) -> NodeProcess:
        """Start a node at its place; `peer` is the address that it calls first, or `none`."""
        stage, options = self.settings.stage, ["--peer", peer, "--wait", f"{START_SECONDS:g}", *place.options]
        if stage >= 2:
            options += ["--data", str(self._data(number))]
        if stage >= 3:
            options += ["--wallet", str(self.keys.wallet(number - 1))]
        if stage == 5:
            played = ",".join(map(str, self.stakes(number))) or "none"
            options += ["--keys", str(self.keys.folder), "--forge", played]
        options += self.settings.founding if number == 1 else ()
        options += ["--against", self._victims[number]] if number in self._victims else []
        with open(self._errors(number), "ab") as errors:
            return NodeProcess(stage, *options, environment={"WALLET_PASSPHRASE": PASSPHRASE}, errors=errors,
                               evil=self.evil.get(number, ""))

    def stakes(self, number: int) -> Sequence[int]:
        """Stage 5: the genesis accounts that a node plays, its own first. The nodes take them in turn."""
        return range(1, STAKE_HOLDERS + 1)[number - 1::self.settings.nodes]

    def make_evil(self, number: int, name: str, victim: str = "") -> None:
        """Let an adversary take a node's place when it is started next. It gets a copy of the node's data, so that it
        cannot damage the original. `victim` is the account that it works against, if it works against one."""
        self.make_good(number)
        honest = self._data(number)
        self.evil[number] = name
        if victim:
            self._victims[number] = victim
        self.forget_data(number)
        if honest.exists():
            shutil.copytree(honest, self._data(number))

    def make_good(self, number: int) -> None:
        """Let the honest node return when it is started next."""
        self.evil.pop(number, None)
        self._victims.pop(number, None)

    def forget_data(self, number: int) -> None:
        """Delete a node's data, so that it starts from nothing."""
        shutil.rmtree(self._data(number), ignore_errors=True)

    def last_error_line(self, number: int) -> str:
        """The last line that a node wrote to standard error; empty if there is none."""
        lines = self._errors(number).read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def _data(self, number: int) -> Path:
        return self._folder / (f"{number}-evil" if number in self.evil else str(number))

    def _errors(self, number: int) -> Path:
        return self._folder / f"{number}.errors"
