"""Positions move up to what is still on its way, whatever the order in which it ends."""

from itertools import permutations

import pytest

from processors.webhooks.progress import Progress

PLACE = ("llm.calls.v1", 0)


@pytest.mark.parametrize("order", sorted(set(permutations([0, 0, 2]))))
def test_a_position_waits_for_the_first_that_is_open(order: tuple[int, ...]) -> None:
    progress, left = Progress(), {0: 2, 2: 1}
    for offset, deliveries in enumerate([2, 0, 1, 0]):
        progress.took(PLACE, offset, deliveries)
    for offset in order:
        assert progress.positions == {PLACE: min(at for at, count in left.items() if count)}
        progress.done(PLACE, offset, progress.life(PLACE))
        left[offset] -= 1
    assert progress.positions == {PLACE: 4}


def test_what_ends_of_an_earlier_life_is_no_news() -> None:
    progress = Progress()
    progress.took(PLACE, 5, 1)
    earlier = progress.life(PLACE)
    progress.forget(PLACE)
    assert progress.positions == {}
    progress.took(PLACE, 5, 1)
    progress.done(PLACE, 5, earlier)
    assert progress.positions == {PLACE: 5}
    progress.done(PLACE, 5, progress.life(PLACE))
    assert progress.positions == {PLACE: 6}
