"""The fixtures of tests of nodes on a network, for the tools that start such nodes."""

from tests.network.conftest import faults, keys

__all__ = ["faults", "keys"]
