"""Where the group stands, when the partitions change hands while it is asked for."""

import asyncio

from processors.standing import Standing

OURS, THEIRS = ("llm.responses.v1", 1), ("llm.responses.v1", 0)


class Group:
    """What a broker knows; its answers may be long on their way."""

    def __init__(self) -> None:
        self.stands = {OURS: 50, THEIRS: 50}
        self.asked = 0
        self.arrives = asyncio.Event()

    async def positions(self) -> dict[tuple[str, int], int]:
        self.asked += 1
        found = dict(self.stands)
        await self.arrives.wait()
        return found


async def test_an_answer_that_was_on_its_way_at_a_change_of_hands_is_asked_for_again() -> None:
    group = Group()
    standing = Standing(group.positions)
    standing.given([OURS, THEIRS])
    asking = asyncio.create_task(standing.start_of(OURS))
    await asyncio.sleep(0)
    standing.taken()
    standing.given([OURS])
    group.stands = {OURS: 400, THEIRS: 900}
    group.arrives.set()
    assert await asking == 400
    assert await standing.start_of(OURS) == 400
    assert group.asked == 2


async def test_an_answer_of_between_two_assignments_is_asked_for_again() -> None:
    """Another worker may still have been committing then."""
    group = Group()
    standing = Standing(group.positions)
    asking = asyncio.create_task(standing.start_of(OURS))
    await asyncio.sleep(0)
    group.stands = {OURS: 400}
    standing.given([OURS])
    group.arrives.set()
    assert await asking == 400
    assert await standing.start_of(("llm.calls.v1", 0)) == 0


async def test_only_what_is_ours_is_committed_and_once() -> None:
    standing = Standing(Group().positions)
    standing.given([OURS])
    assert standing.uncommitted([{OURS: 7, THEIRS: 50}]) == {OURS: 7}
    standing.committed({OURS: 7})
    assert standing.uncommitted([{OURS: 7}]) == {}
    assert standing.uncommitted([{OURS: 8}, {THEIRS: 50}]) == {OURS: 8}
    standing.taken()
    assert standing.uncommitted([{OURS: 9}]) == {}
    standing.given([OURS])
    assert standing.uncommitted([{OURS: 7}]) == {OURS: 7}
