"""Connections that are kept between questions: each organization's own, of the newest commits, few, and none that failed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from eventlog.events import Organization
from storage.laid_out import KEPT
from storage.query import Limits, Questions
from storage.refusal import Refused
from tests.fakes.small_lake import SmallLake

COUNT = "SELECT count(*) AS n FROM calls"


@pytest.fixture
def world(tmp_path: Path) -> SmallLake:
    lake = SmallLake(tmp_path / "lake")
    for organization in ("acme", "other"):
        lake.add("calls", {"call_id": organization, "request_id": organization, "created_at": "2026-03-01", "organization": organization})
    return lake


@pytest.fixture
def questions(world: SmallLake) -> Iterator[Questions]:
    asked = Questions(world.lake, Limits(timeout_s=5))
    yield asked
    asked.close()


def ids(questions: Questions, organization: str | None) -> list[str]:
    whose = None if organization is None else Organization(organization)
    found: list[str] = questions.ask("SELECT call_id FROM calls ORDER BY 1", organization=whose).table.column(0).to_pylist()
    return found


def test_each_organization_sees_its_own_whoever_asked_before(questions: Questions) -> None:
    for _ in range(3):
        assert [ids(questions, each) for each in ("acme", "other", None, "nobody")] == [["acme"], ["other"], ["acme", "other"], []]


def test_the_next_question_sees_the_next_commit(world: SmallLake, questions: Questions) -> None:
    assert ids(questions, "acme") == ["acme"]
    world.add("calls", {"call_id": "b", "request_id": "b", "created_at": "2026-03-01", "organization": "acme"})
    assert ids(questions, "acme") == ["acme", "b"]


def test_few_are_kept(questions: Questions) -> None:
    for number in range(3 * KEPT):
        ids(questions, f"o{number}")
    assert len(questions._laid_out._idle) == KEPT
    assert len(questions._engine._open) == KEPT


def test_one_that_failed_is_not_kept(questions: Questions) -> None:
    with pytest.raises(Refused):
        questions.ask("SELECT error(call_id) FROM calls")
    assert not questions._laid_out._idle
    assert ids(questions, None) == ["acme", "other"]


def test_closing_ends_those_that_wait(questions: Questions) -> None:
    ids(questions, "acme")
    questions.close()
    assert not questions._laid_out._idle
