"""Which slot it is by this machine's clock, and what the user is told if a clock is wrong."""

from collections.abc import Callable

from common.interface import Connection, Invalid, Network
from common.parts import Part
from stage5_pos.genesis import Genesis

TELL_CLOCK_SECONDS = 60.0
"""Seconds that pass, at least, until the user is told again that a clock is wrong."""


class SlotClock(Part):
    """The slots of one network, as this machine's clock counts them."""

    def __init__(self, network: Network, genesis: Genesis, report_error: Callable[[str, str], None]) -> None:
        """`report_error` tells the user: an error's code and reason."""
        self.genesis = genesis
        self._network = network
        self._report_error = report_error
        self._told_of: set[Connection] = set()
        """The connections whose blocks from the future were looked at."""
        self._tell_from = 0.0
        """The user is not told of others' clocks before this time, in seconds of the network's clock."""
        self._told_of_slot = 0
        """The last slot that the user was told about by `tell_if_it_went_back`. It starts with 0, the slot of the
        genesis: if that is still to come, it is `tell_if_genesis_is_ahead` that tells the user."""

    def slot(self) -> int:
        """The current slot."""
        return self.genesis.slot_at(self._network.unix_ms())

    def call_at(self, slot: int, action: Callable[[], None]) -> None:
        """Call `action` when a slot begins."""
        self._network.after(self._seconds_until(slot), action)

    def _seconds_until(self, slot: int) -> float:
        return (self.genesis.slot_start(slot) - self._network.unix_ms()) / 1000

    def on_lost(self, connection: Connection) -> None:
        """A neighbour is gone."""
        self._told_of.discard(connection)

    # --- clocks that are wrong ------------------------------------------------------------------

    def on_future_block(self, connection: Connection | None, slot: int, check: Callable[[], object]) -> None:
        """A block from the future: perhaps not the sender's fault, but of no use yet. Unless `check` raises Invalid,
        one of the two clocks is wrong. The user is told, at most once for each connection and once a minute."""
        now = self._network.now()
        if connection is None or connection in self._told_of or now < self._tell_from:
            return
        self._told_of.add(connection)
        try:
            check()
        except Invalid:
            return
        self._tell_from = now + TELL_CLOCK_SECONDS
        ahead = self._seconds_until(slot)
        self._report_error("NETWORK", f"{connection.address}: its blocks are not taken, since they are {ahead:,.1f}"
                                      " seconds ahead of this machine's clock; look at the clocks of both")

    def tell_if_genesis_is_ahead(self) -> None:
        """Tell the user if the network begins in the future, by this machine's clock."""
        ahead = self._seconds_until(0)
        if ahead > 0:
            self._tell_from = self._network.now() + TELL_CLOCK_SECONDS
            self._report_error("NETWORK", f"this network begins in {ahead:,.1f} seconds by this machine's clock, and no"
                                          " block is taken before then; look at this clock, and at that of the founder")

    def tell_if_it_went_back(self, last_slot: int) -> None:
        """Tell the user once if the clock has gone back, so that the last slot that was drawn for is in the future.
        There is one draw for each slot, so no block is made until the clock has passed that slot again."""
        if self.slot() < last_slot != self._told_of_slot:
            self._told_of_slot = last_slot
            left = self._seconds_until(last_slot + 1)
            self._report_error("NETWORK", f"this machine's clock has gone back: no block is made for {left:,.1f}"
                                          f" seconds, until it is past slot {last_slot} again; look at the clock")
