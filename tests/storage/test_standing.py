"""What stands is the same, looked up beforehand or by comparing ids."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from eventlog.events import Organization
from storage import standing as looked_up
from storage.engine import Engine, EngineLimits
from storage.query import Questions
from storage.sources import Source
from storage.standing import Standings
from storage.views import current_calls_sql
from tests.fakes.random_lake import ORGANIZATIONS, RandomLake
from tests.fakes.small_lake import SmallLake

STEPS = 14


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = Engine([str(tmp_path)], EngineLimits())
    yield made
    made.close()


def calls(engine: Engine, sources: dict[str, Source], organization: Organization | None) -> Counter[str]:
    with engine.connection() as connection:
        rows = connection.execute(current_calls_sql(sources["calls"], sources["amendments"], organization)).fetchall()
    return Counter(map(repr, rows))


@pytest.mark.parametrize("seed", range(3))
def test_a_lake_to_which_anything_happens(tmp_path: Path, engine: Engine, seed: int) -> None:
    small, standings = RandomLake(tmp_path / "lake", seed), Standings()
    asked = Questions(small.lake)
    met: Counter[str] = Counter()
    for _ in range(STEPS):
        small.step()
        compared = asked.snapshots.sources(("calls", "amendments"))
        with engine.connection() as connection:
            told = standings.told(connection, compared)
        stands = told["amendments"].standing
        assert stands is not None
        met.update({"hidden": len(stands.hidden), "shown": len(stands.shown), "by_id": stands.by_id})
        for organization in (None, *ORGANIZATIONS):
            assert calls(engine, told, organization) == calls(engine, compared, organization)
    asked.close()
    assert len(+met) == 3


def test_a_call_of_another_organization_with_the_same_id_stands_for_none_of_ours(tmp_path: Path, engine: Engine) -> None:
    small = SmallLake(tmp_path / "lake")
    call = {"call_id": "x", "created_at": "2026-01-02T00:00:00"}
    small.add("calls", call | {"organization": "acme", "cost_usd": "1"}, call | {"organization": "evil", "cost_usd": "2"})
    small.add("amendments", call | {"organization": "evil", "revision": 1, "cost_usd": "3", "amended_at": "2026-01-03T00:00:00"})
    asked = Questions(small.lake)
    costs = {
        name: [float(row["cost_usd"]) for row in asked.ask("SELECT cost_usd FROM calls", organization=Organization(name)).table.to_pylist()]
        for name in ("acme", "evil")
    }
    assert costs == {"acme": [1.0], "evil": [3.0]}
    asked.close()


def test_many_amendments_are_left_to_the_view(tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    small = RandomLake(tmp_path / "lake", 1)
    small.calls()
    small.amend()
    with engine.connection() as connection:
        asked = Questions(small.lake)
        sources = asked.snapshots.sources(("calls", "amendments"))
        monkeypatch.setattr(looked_up, "MOST", 3)
        assert Standings().told(connection, sources)["amendments"].standing is None
        monkeypatch.setattr(looked_up, "MOST", 100)
        assert Standings().told(connection, sources)["amendments"].standing is not None
        older = {name: structs.replace(source, whole=False) for name, source in sources.items()}
        assert Standings().told(connection, older)["amendments"].standing is None
        asked.close()


def test_files_that_are_known_are_not_looked_into_again(tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    small, standings = RandomLake(tmp_path / "lake", 2), Standings()
    read: list[str] = []
    real = looked_up._rows
    monkeypatch.setattr(looked_up, "_rows", lambda connection, file, condition: read.append(condition) or real(connection, file, condition))
    small.calls()
    small.small.add("amendments", {**small.made[0], "revision": 1, "amended_at": "2026-03-10T12:00:00Z"})
    asked = Questions(small.lake)
    with engine.connection() as connection:
        standings.told(connection, asked.snapshots.sources(("calls", "amendments")))
        first = len(read)
        standings.told(connection, asked.snapshots.sources(("calls", "amendments")))
        assert len(read) == first > 0
        small.small.add("calls", {**small.made[0], "call_id": "another"})
        standings.told(connection, asked.snapshots.sources(("calls", "amendments")))
        assert len(read) == first + 1
    asked.close()
