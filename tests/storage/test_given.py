"""Properties that were given afterwards, put together before questions ask: the same as where each puts them together itself."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import storage.given
from eventlog.events import Organization
from storage.query import Questions
from storage.refusal import Refused
from tests.fakes.small_lake import SmallLake

ASKED = "SELECT organization, request_id, properties FROM calls ORDER BY 1, 2"
OF_ONE = "SELECT properties['plan'] AS plan, count(*) AS n FROM calls WHERE created_at >= '2026-01-02' GROUP BY 1 ORDER BY 1"
KEYS = ("plan", "feature", "team")


def lake_of(folder: Path, seed: int) -> SmallLake:
    """Requests of two organizations, some with the same id, to which properties are given in several commits, some again."""
    chance, world = random.Random(seed), SmallLake(folder)
    for day in (1, 2):
        world.add("calls", *(_call(chance, day, number) for number in range(12)))
    for commit in range(4):
        world.add("feedback", *(_given(chance, commit, number) for number in range(15)))
    return world


def _call(chance: random.Random, day: int, number: int) -> dict[str, Any]:
    return {
        "call_id": f"call-{day}-{number}",
        "request_id": f"request-{day}-{number % 8}",
        "organization": ("default", "acme")[number // 8],
        "created_at": f"2026-01-0{day}T00:00:{number:02d}Z",
        "properties": {key: f"at first {chance.randrange(3)}" for key in KEYS if chance.random() < 0.5},
    }


def _given(chance: random.Random, commit: int, number: int) -> dict[str, Any]:
    said = {key: f"later {chance.randrange(3)}" for key in KEYS if chance.random() < 0.4}
    return {
        "feedback_id": f"feedback-{commit}-{number}",
        "request_id": f"request-{chance.randrange(1, 4)}-{chance.randrange(8)}",
        "organization": chance.choice(("default", "acme")),
        "given_at": f"2026-01-05T00:00:{chance.randrange(60):02d}Z",
        "rating": chance.random() < 0.5,
        "properties": said,
        "property_count": len(said),
    }


@pytest.mark.parametrize("seed", range(5))
def test_as_questions_put_it_together(tmp_path: Path, seed: int) -> None:
    world = lake_of(tmp_path / "lake", seed)
    ready = Questions(world.lake)
    answers = all_asked(ready)
    themselves = Questions(world.lake)
    themselves._given = storage.given.Given(most=0)
    assert answers == all_asked(themselves)
    assert any("later" in str(answer) for answer in answers)
    assert (kept(ready), kept(themselves)) == (True, False)
    for each in (ready, themselves):
        each.close()


def all_asked(questions: Questions) -> list[Any]:
    return [
        questions.ask(sql, organization=None if name is None else Organization(name)).table.to_pylist()
        for sql in (ASKED, OF_ONE)
        for name in (None, "default", "acme", "nobody")
    ]


def kept(questions: Questions) -> bool:
    return questions._given._last[1] is not None


def test_what_comes_later_is_seen_and_put_together_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = lake_of(tmp_path / "lake", 1)
    made: list[int] = []
    real: Callable[..., Any] = storage.given.Given._put_together

    def counted(*given: Any) -> Any:
        made.append(len(given[-1]))
        return real(*given)

    monkeypatch.setattr(storage.given.Given, "_put_together", counted)
    questions = Questions(world.lake)
    said = {"feedback_id": "last", "request_id": "request-1-0", "given_at": "2026-02-01T00:00:00Z"}
    sql = "SELECT properties['plan'] AS plan FROM calls WHERE request_id = 'request-1-0' AND organization = 'default'"
    by_plan = "SELECT count(*) AS n FROM calls WHERE properties['plan'] = 'gold'"
    questions.ask(f"{sql} LIMIT 10")
    assert not made  # of a few calls it is looked up what was given to those
    questions.ask(OF_ONE)
    questions.ask(by_plan)
    world.add("feedback", said | {"rating": True, "properties": {}, "property_count": 0})
    assert questions.ask(by_plan).table.to_pylist() == [{"n": 0}]
    world.add("feedback", said | {"properties": {"plan": "gold"}, "property_count": 1})
    assert questions.ask(by_plan).table.to_pylist() == [{"n": 1}]
    assert questions.ask(sql).table.to_pylist() == [{"plan": "gold"}]
    assert questions.ask(by_plan).table.to_pylist() == [{"n": 1}]
    assert len(made) == 2  # a commit that gives none changes nothing
    questions.close()


@pytest.mark.parametrize("sql", ["SHOW TABLES", "SHOW ALL TABLES", "FROM (SHOW TABLES)", "SELECT properties FROM calls, (SHOW TABLES)"])
def test_what_is_there_to_be_asked_does_not_tell_that_anybody_gave_some(tmp_path: Path, sql: str) -> None:
    questions = Questions(lake_of(tmp_path / "lake", 2).lake)
    questions.ask("SELECT count(*) FROM calls WHERE properties['plan'] = 'gold'", organization=Organization("acme"))
    assert "given" not in str(questions.ask(sql, organization=Organization("acme")).table.to_pylist()).replace("given_at", "")
    questions.close()


def test_nobody_can_ask_for_the_table_itself(tmp_path: Path) -> None:
    questions = Questions(lake_of(tmp_path / "lake", 2).lake)
    questions.ask(OF_ONE)
    for sql in ("SELECT * FROM __given", "SELECT * FROM temp.__given", "SELECT (SELECT count(*) FROM __given) FROM calls"):
        with pytest.raises(Refused):
            questions.ask(sql, organization=Organization("acme"))
    questions.close()
