"""The course of an import: what is left out, what goes together, how far it came, and what it says when it cannot go on."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from runtime import importing
from runtime.export_files import Element, Unreadable
from runtime.exported import Exported
from runtime.import_target import Known, Lost, Took
from runtime.importing import BATCH, Importing, Rejected, Stopped
from tests.fakes.helicone_export import call, uuid


class Lake:
    """A Heliograph that shows what it took `late` questions afterwards."""

    def __init__(self, late: int = 0) -> None:
        self.late = late
        self.taken: list[Exported] = []
        self.batches: list[int] = []
        self.judged: list[str] = []
        self.seen: dict[str, Known] = {}
        self.refuses: set[str] = set()
        self.lost: Exception | None = None
        self._asked = 0
        self._coming: list[tuple[int, str]] = []

    def known(self, calls: Sequence[Exported]) -> dict[str, Known]:
        self._asked += 1
        self.seen |= {key: Known() for at, key in self._coming if at <= self._asked and key not in self.seen}
        return {call.key: self.seen[call.key] for call in calls if call.key in self.seen}

    def log(self, calls: Sequence[Exported]) -> Took:
        if self.lost is not None:
            raise self.lost
        refused = {place: "no" for place, call in enumerate(calls) if call.key in self.refuses}
        took = [call for place, call in enumerate(calls) if place not in refused]
        self.taken += took
        self.batches.append(len(calls))
        self._coming += [(self._asked + self.late, call.key) for call in took]
        return Took(refused)

    def judge(self, call: Exported, known: Known) -> str | None:
        if not known.rated:
            self.judged.append(call.request_id)
        return "its score is refused" if "bad" in call.scores else None


class Watched:
    """An import into `lake`, and what it told. Its clock goes on with each pause."""

    def __init__(self, lake: Lake) -> None:
        self.rejected: list[Rejected] = []
        self.durable: list[int] = []
        self.now = 0.0
        self.importing = Importing(
            lake, self.rejected.append, lambda tally: self.durable.append(tally.durable), pause=self._pause, clock=lambda: self.now
        )

    def _pause(self, seconds: float) -> None:
        self.now += seconds

    def bring(self, elements: Iterator[Element] | Sequence[Element]) -> None:
        try:
            self.importing.bring(elements)
            self.importing.wait()
        finally:
            self.importing.close()


def element(number: int, name: Any = None, **more: Any) -> Element:
    told = call(0, request_id=uuid(f"n {number if name is None else name}"), **more)
    return Element(number, json.dumps(told).encode())


def test_batches_and_how_far_it_came() -> None:
    lake = Lake()
    watched = Watched(lake)
    watched.bring([element(number) for number in range(1, 2 * BATCH + 4)])
    assert lake.batches == [BATCH, BATCH, 3]
    assert watched.durable == [BATCH, 2 * BATCH, 2 * BATCH + 3]


def test_a_line_of_several_calls_is_durable_when_all_of_them_are() -> None:
    watched = Watched(Lake())
    watched.bring([element(1), *(element(2, f"of a page {at}") for at in range(BATCH + 5))])
    assert watched.durable == [1, 2]


def test_long_calls_go_alone() -> None:
    lake = Lake()
    long = {"request_body": {"text": "x" * (5 << 20)}}
    Watched(lake).bring([element(1, **long), element(2, **long), element(3)])
    assert lake.batches == [1, 2]


@pytest.mark.parametrize("late", [0, 3, 50])
def test_what_is_there_and_what_is_on_its_way_is_left_out(late: int) -> None:
    lake = Lake(late)
    twice = [element(number, number % (BATCH + 10)) for number in range(3 * BATCH)]
    watched = Watched(lake)
    watched.bring(twice)
    assert len(lake.taken) == len({each.key for each in lake.taken}) == BATCH + 10
    assert (watched.importing.tally.logged, watched.importing.tally.known) == (BATCH + 10, 2 * BATCH - 10)
    again = Watched(lake)
    again.bring(twice)
    assert (again.importing.tally.logged, again.importing.tally.known) == (0, 3 * BATCH)


def test_no_more_than_a_few_batches_go_ahead_of_the_lake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "MOST_UNSEEN", 2)
    lake = Lake(late=10**9)
    with pytest.raises(Stopped, match="not seen in the lake"):
        Watched(lake).bring([element(number) for number in range(5 * BATCH)])
    assert len(lake.batches) == 2


def test_what_is_refused_or_no_call_is_told_and_the_rest_goes_on() -> None:
    lake, elements = Lake(), [element(1), Element(2, b"{"), element(3), Element(4, b"x", "it is longer"), element(5)]
    lake.refuses = {uuid("n 3")}
    watched = Watched(lake)
    watched.bring(elements)
    assert sorted((each.line, each.reason) for each in watched.rejected) == [(2, "it is no JSON in UTF-8"), (3, "no"), (4, "it is longer")]
    assert [each.request_id for each in lake.taken] == [uuid("n 1"), uuid("n 5")]


def test_judgements_are_given_where_they_are_missing() -> None:
    rated = {"feedback_rating": True}
    lake = Lake()
    lake.seen = {uuid("n 1"): Known(rated=True), uuid("n 2"): Known()}
    lake.refuses = {uuid("n 4")}
    watched = Watched(lake)
    watched.bring([element(at, **rated) for at in (1, 2, 3, 4)] + [element(5), element(6, scores={"bad": 1})])
    assert sorted(lake.judged) == sorted(uuid(f"n {at}") for at in (2, 3, 6))
    assert [(each.line, each.reason) for each in watched.rejected] == [(4, "no"), (6, "its score is refused")]


def test_an_answer_that_was_lost_stops_it_and_names_the_lines() -> None:
    lake = Lake()
    lake.lost = Lost("reset")
    watched = Watched(lake)
    with pytest.raises(Stopped, match="lines 7 to 8 was lost"):
        watched.bring([element(7), element(8)])
    assert watched.importing.tally.durable == 0


def test_what_was_read_before_a_fault_is_brought() -> None:
    def broken() -> Iterator[Element]:
        yield element(1)
        yield element(2)
        raise Unreadable("it ends here")

    lake = Lake()
    watched = Watched(lake)
    with pytest.raises(Unreadable):
        watched.bring(broken())
    assert (len(lake.taken), watched.importing.tally.durable) == (2, 2)
