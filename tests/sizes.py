"""Tests in two sizes: for `make test`, and only for `make test-long`."""

from collections.abc import Iterable
from typing import Any

import pytest


def and_long(quick: Iterable[Any], long: Iterable[Any]) -> list[Any]:
    """Values of a test's parameter: the first ones for `make test`, the others only for `make test-long`.

    With several parameters, each value is a tuple.
    """
    return [*quick, *(pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.long)
                      for value in long)]
