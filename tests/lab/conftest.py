"""The fixtures of tests/network, for tests of the tools that start nodes."""

from tests.network.conftest import faults, keys

__all__ = ["faults", "keys"]
