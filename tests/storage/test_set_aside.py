"""A file of the lake that is gone or damaged: it is named, and the rest answers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage import set_aside
from storage.answers import answer
from storage.asked import SqlAsked
from storage.lacking import HEADER as LACKING
from storage.query import Questions
from storage.set_aside import AGAIN_S, DAMAGED_S, SetAside
from storage.snapshots import Snapshots
from tests.fakes.damage import rotten
from tests.fakes.small_lake import SmallLake
from tests.storage.rest.conftest import asked_at

COUNT = "SELECT count(call_id) AS calls FROM calls"


def _gone(file: Path) -> None:
    file.unlink()


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def _other(file: Path) -> None:
    file.write_bytes(b"this is no Parquet" * 100)


@pytest.fixture
def lake(tmp_path: Path) -> SmallLake:
    made = SmallLake(tmp_path / "lake")
    for day in (1, 2, 3):
        made.add("calls", *({"call_id": f"c{day}{n}", "request_id": "r", "created_at": f"2026-01-0{day}T0{n}:00:00"} for n in range(day)))
    return made


@pytest.fixture
def questions(lake: SmallLake) -> Iterator[Questions]:
    asked = Questions(lake.lake)
    yield asked
    asked.close()


@pytest.mark.parametrize("harm", [_gone, _empty, _cut, _other, rotten])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_the_rest_answers_and_says_what_is_missing(lake: SmallLake, questions: Questions, harm: Callable[[Path], None], which: int) -> None:
    file = Path(sorted(lake.lake.files("calls"))[which])
    harm(file)
    found = questions.ask(COUNT)
    assert found.table.to_pylist() == [{"calls": 6 - (which + 1)}]
    assert found.unread == (f"calls/day=2026-01-0{which + 1}/{file.name}",)
    told = answer(questions, SqlAsked(sql=COUNT))
    assert told.told.unread == found.unread
    assert file.name.encode() in told.body


def test_one_that_is_back_is_read_again(lake: SmallLake) -> None:
    now = [0.0]
    aside, questions = SetAside(lake.lake, lambda: now[0]), Questions(lake.lake)
    questions._aside = aside
    file = Path(lake.lake.files("calls")[0])
    kept = file.read_bytes()
    file.unlink()
    assert len(questions.ask(COUNT).unread) == 1
    file.write_bytes(kept)
    now[0] = AGAIN_S + 1
    found = questions.ask(COUNT)
    assert (found.table.to_pylist(), found.unread) == ([{"calls": 6}], ())
    questions.close()


def test_a_whole_lake_says_nothing(questions: Questions) -> None:
    assert questions.ask(COUNT).unread == ()
    assert b"unread" not in answer(questions, SqlAsked(sql=COUNT)).body


def test_of_other_tables_no_file_is_tried(lake: SmallLake, questions: Questions, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.add("bodies", {"call_id": "c11", "side": "request", "day": "2026-01-01"})
    tried: list[str] = []
    opens = set_aside._opens
    monkeypatch.setattr(set_aside, "_opens", lambda system, path: tried.append(path) or opens(system, path))
    Path(lake.lake.files("calls")[0]).unlink()
    assert len(questions.ask(COUNT).unread) == 1
    assert {"calls"} == {path.split("/day=")[0].rpartition("/")[2] for path in tried} - {"feedback"}


def test_a_damaged_file_is_left_alone_for_longer(lake: SmallLake) -> None:
    now = [0.0]
    aside = SetAside(lake.lake, lambda: now[0])
    sources = Snapshots(lake.lake).sources(["calls"])
    damaged = sources["calls"].files[1].path
    assert aside.look(sources, lambda path: path != damaged)
    for later, left_out in ((AGAIN_S + 1, 1), (DAMAGED_S + 1, 0)):
        now[0] = later
        assert len(aside.without(sources)[1]) == left_out
    assert not aside.look(sources, lambda _: True)


async def test_every_answer_over_http_says_what_it_lacks(lake: SmallLake) -> None:
    file = Path(lake.lake.files("calls")[1])
    rotten(file)
    long = "SELECT call_id, repeat('x', 1000) AS text FROM calls, range(3000)"
    async with asked_at(lake) as client:
        for form in ("json", "csv", "jsonl", "arrow", "table"):
            for sql in (COUNT, long):
                answer = await client.post("/v1/query", json={"sql": sql, "format": form})
                assert (answer.status_code, answer.headers.get(LACKING)) == (200, "1"), answer.text[:500]
        empty = await client.post("/v1/query", json={"sql": f"{COUNT} HAVING count(*) > 99", "format": "jsonl"})
        assert (empty.content, empty.headers[LACKING]) == (b"", "1")
        body = {"filter": "all", "offset": 0, "limit": 10, "sort": {"created_at": "desc"}}
        assert (await client.post("/v1/request/query-clickhouse", json=body)).headers[LACKING] == "1"
