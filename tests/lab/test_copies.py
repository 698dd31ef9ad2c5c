"""What a copy costs: the measurement works, and a copy costs less than a new message."""

from lab.bench.copies import measure_copies


def test_a_copy_costs_less_than_a_new_message() -> None:
    new, copy = measure_copies(readers=2, messages=3_000)
    assert 0 < copy < new / 2
