"""Runs the tests in the order of the tasks, the easiest first. Loaded by `-p lab.tasks.order`."""

import pytest

from lab.tasks.table import TABLE, read_table

LAST = (1_000, 0, 0)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort the tests. Tests of no task come last."""
    table = read_table(config.rootpath / TABLE)

    def place(item: pytest.Item) -> tuple[int, int, int]:
        name = item.originalname if isinstance(item, pytest.Function) else item.name
        return table.find(item.path.name, name) or LAST

    items.sort(key=place)
