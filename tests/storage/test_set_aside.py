"""A file of the lake that is gone or damaged: it is named, and the rest answers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage.answers import answer
from storage.asked import SqlAsked
from storage.query import Questions
from storage.set_aside import AGAIN_S, SetAside
from tests.fakes.small_lake import SmallLake

COUNT = "SELECT count(*) AS calls FROM calls"


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


@pytest.mark.parametrize("harm", [_gone, _empty, _cut, _other])
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
