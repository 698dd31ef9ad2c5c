"""Addresses of nobody and of others: a node cannot be used to call strangers, or to cut off its neighbours."""

import selectors
import socket
import threading
import time
from typing import Self

from lab.blackbox.peer import frames_of
from tests.conftest import Launch
from tests.hostile.villain import Healthy, Villain, quick_and_long, random_ids


@quick_and_long("count", 3_000, 100_000)
def test_presences_of_nobody(count: int, start_node: Launch) -> None:
    node = start_node(2)
    with Healthy(node):
        with Villain(node) as villain:
            for number in range(count):
                villain.insist(frames_of({"type": "presence", "nonce": f"{number:032x}",
                                          "address": f"127.9.{number // 50_000}.9:{number % 50_000 + 1}"}))
            assert villain.barrier()
        node.wait_for("peer", address=villain.listen, state="down")
        assert len(node.ask("/peers", "peers")["addresses"]) <= 10_000


class Strangers:
    """Ports of somebody else: a hundred on loopback, and how often somebody has knocked at them."""

    def __init__(self, count: int = 100) -> None:
        self.knocks = 0
        self._doors = [socket.create_server(("127.0.0.1", 0), backlog=128) for _ in range(count)]
        self._selector = selectors.DefaultSelector()
        for door in self._doors:
            self._selector.register(door, selectors.EVENT_READ)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @property
    def addresses(self) -> list[str]:
        """The addresses of the doors."""
        return ["{}:{}".format(*door.getsockname()) for door in self._doors]

    def _watch(self) -> None:
        while not self._is_over.is_set():
            for key, _ in self._selector.select(timeout=0.1):
                visitor, _ = key.fileobj.accept()  # type: ignore[union-attr]
                self.knocks += 1
                visitor.close()

    def close(self) -> None:
        """Close all doors."""
        self._is_over.set()
        self._thread.join()
        self._selector.close()
        for door in self._doors:
            door.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def most_knocks(since: float) -> float:
    """How many knocks since then are allowed: a node needs a dozen connections, and may try some in vain, slowly."""
    return 40 + 3 * (time.monotonic() - since)


@quick_and_long("seconds", 2, 60)
def test_presences_of_strangers_do_not_make_it_knock_at_all_their_doors(seconds: int, start_node: Launch) -> None:
    """Each stranger is named in five spellings of its host: 127.0.0.1, 127.0.0.01 and so on."""
    node = start_node(2)
    began = time.monotonic()
    with Strangers() as strangers, Healthy(node) as healthy:
        with Villain(node) as villain:
            for address in strangers.addresses:
                for zeros in range(5):
                    spelt = address.replace(".1:", f".{'0' * zeros}1:")
                    villain.insist(frames_of({"type": "presence", "nonce": random_ids(1)[0][:32], "address": spelt}))
            assert villain.barrier()
        healthy.wait(seconds)
        print(strangers.knocks, "knocks")
        assert strangers.knocks <= most_knocks(began), f"{strangers.knocks} knocks at {len(strangers.addresses)} doors"


@quick_and_long("seconds", 2, 60)
def test_hellos_in_the_name_of_strangers_do_not_make_it_knock_at_their_doors(
        seconds: int, start_node: Launch) -> None:
    node = start_node(2)
    began = time.monotonic()
    with Strangers() as strangers, Healthy(node) as healthy:
        for address in strangers.addresses:
            with Villain(node, listen=address) as villain:
                assert villain.barrier()
        healthy.wait(seconds)
        print(strangers.knocks, "knocks")
        assert strangers.knocks <= most_knocks(began), f"{strangers.knocks} knocks at {len(strangers.addresses)} doors"


def test_a_stranger_that_claims_a_neighbours_address_does_not_cut_that_neighbour_off(start_node: Launch) -> None:
    founder = start_node(2)
    node = start_node(2, founder.address, "--host", "127.0.0.2")  # the higher address, so it keeps what the other dials
    node.wait_for("peer", address=founder.address, state="up")
    with Healthy(node) as healthy, Villain(node, listen=founder.address) as villain:
        healthy.wait(0.5)
        villain.barrier()
        founder.ask("/peers", "peers")
        node.ask("/peers", "peers")
        assert founder.all_of("peer", address=node.address, state="down") == [], founder.describe()
        founder.type("still heard")
        node.wait_for("chat", text="still heard")
