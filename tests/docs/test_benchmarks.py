"""Every benchmark can be started: a module that another has taken the name of is found here, not by whoever measures."""

import importlib
import subprocess
import sys
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from bench.clickhouse import column_type
from bench.port import panels_of
from bench.questions import PANELS, QUESTIONS, Question, difference, values_of
from eventlog.events import Organization
from storage.query import Questions
from storage.schema import MONEY, TABLES
from tests.fakes.small_lake import SmallLake

ROOT = Path(__file__).parents[2]
MODULES = sorted(path.stem for path in (ROOT / "bench").glob("*.py"))
WITHOUT_ARGUMENTS = {"peers", "streams", "dialects", "clickhouse", "port", "questions"}
"""Parts of others."""


@pytest.mark.parametrize("name", MODULES)
def test_it_can_be_loaded(name: str) -> None:
    module = importlib.import_module(f"bench.{name}")
    assert module.__doc__
    assert hasattr(module, "main") or name in WITHOUT_ARGUMENTS


def test_the_newest_tells_how_it_is_used() -> None:
    done = subprocess.run([sys.executable, "-m", "bench.analytics", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--rounds" in done.stdout


def test_each_question_is_answered_and_an_answer_is_like_itself(tmp_path: Path) -> None:
    world = SmallLake(tmp_path / "lake")
    calls = (
        {
            "call_id": f"c{number}",
            "request_id": f"r{number}",
            "user_id": f"o'hara {number % 2}",
            "session_id": f"s{number}",
            "cost_usd": "0.5",
        }
        for number in range(4)
    )
    world.add("calls", *calls)
    asked = Questions(world.lake)

    def ask(sql: str) -> pa.Table:
        return asked.ask(sql, organization=Organization("default")).table

    with closing(asked):
        values = values_of(ask, 2)
        for question in (*QUESTIONS, *PANELS):
            answer = ask(question.for_ours(values[-1]))
            assert answer.num_rows
            assert difference(answer, answer, question) is None
            assert difference(answer, answer.slice(1), question)


def test_a_sum_that_is_off_by_its_last_digit_is_another() -> None:
    whole, less = (pa.table({"usd": pa.array([Decimal(sum_of)], MONEY)}) for sum_of in ("1.000000000001", "1.000000000002"))
    question = Question(name="", ours="")
    assert difference(whole, whole, question) is None
    assert difference(whole, less, question)


def test_whatever_rests_has_a_type_in_clickhouse() -> None:
    for name in ("calls", "amendments", "bodies", "feedback"):
        assert all(column_type(field) for field in TABLES[name] if field.name != "day")


def test_a_page_s_panels_are_found() -> None:
    assert panels_of('<section data-src="/dashboard/panels/overview/cost?a=1&amp;b=2">', "/dashboard") == [
        "/dashboard/panels/overview/cost?a=1&b=2"
    ]
