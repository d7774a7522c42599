"""SQL on a page: which columns a chart takes, and what is asked, sent on and shown."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from storage.dashboard.sql_chart import Found, chart_of, picked
from storage.dashboard.state import OWN_CHARACTERS
from storage.views import VIEWS
from tests.fakes.querying import serving
from tests.fakes.small_lake import SmallLake, calls
from tests.storage.dashboard.test_pages import AT, World, shell, token_in, web, world

__all__ = ["shell", "web", "world"]  # fixtures

DAYS = Found(
    columns=["day", "model", "cost_usd", "calls"],
    types=["DATE", "VARCHAR", "DECIMAL(38,12)", "BIGINT"],
    rows=[
        ["2026-03-02", "b", "0.5", 1],
        ["2026-03-01", "a", "0.25", 2],
        ["2026-03-01", "a", "0.25", 2],
        ["2026-03-01", None, None, 7],
    ],
)
PLAIN = Found(columns=["user_id", "n"], types=["VARCHAR", "BIGINT"], rows=[["ada", 3], [None, 1]])
PICKS: dict[str, tuple[Found, tuple[str, str, str], tuple[str, str, str]]] = {
    "times across, money up, names apart": (DAYS, ("", "", ""), ("day", "cost_usd", "model")),
    "what was said": (DAYS, ("model", "calls", "-"), ("model", "calls", "")),
    "what is no column is chosen": (DAYS, ("x", "model", "y"), ("day", "cost_usd", "")),
    "a column is not taken apart by itself": (DAYS, ("model", "", "model"), ("model", "cost_usd", "")),
    "without times": (PLAIN, ("", "", ""), ("user_id", "n", "")),
    "nothing to count": (Found(columns=["a"], types=["VARCHAR"], rows=[]), ("", "", ""), ("a", "", "")),
}


@pytest.mark.parametrize(("found", "said", "columns"), PICKS.values(), ids=PICKS)
def test_columns_of_a_chart(found: Found, said: tuple[str, str, str], columns: tuple[str, str, str]) -> None:
    assert picked(found, *said) == columns


def test_a_chart_adds_up_and_is_in_the_order_of_time() -> None:
    drawn = chart_of(DAYS, "day", "cost_usd", "model", bars=True)
    assert drawn.pieces == ("1 Mar", "2 Mar")
    assert {line.name: cells for line, cells in zip(drawn.legend, drawn.cells, strict=True)} == {
        "a": ("$0.500", "–"),
        "b": ("–", "$0.500"),
        "NULL": ("–", "–"),
    }
    assert len(drawn.bars) == 2
    lines = chart_of(PLAIN, "user_id", "n", "", bars=False)
    assert (lines.pieces, len(lines.paths), lines.bars) == (("ada", "NULL"), 1, ())


def test_many_series_are_seven_and_the_others() -> None:
    found = Found(columns=["k", "n"], types=["VARCHAR", "BIGINT"], rows=[[f"k{place}", place] for place in range(12)])
    drawn = chart_of(found, "k", "n", "k", bars=True)
    assert [line.name for line in drawn.legend] == [*(f"k{place}" for place in range(11, 4, -1)), "5 others"]


async def test_the_page_has_the_schema_and_the_question(shell: httpx.AsyncClient) -> None:
    page = (await shell.get("/dashboard/sql?sql=" + quote("SELECT '</textarea><script>'"))).text
    assert "SELECT &#39;&lt;/textarea&gt;&lt;script&gt;&#39;</textarea>" in page
    for view in VIEWS.values():
        assert f'data-insert="{view.name}"' in page
    assert 'data-insert="cost_usd"' in page


async def test_a_question_is_drawn(world: World, web: httpx.AsyncClient) -> None:
    world.lake.add("calls", *calls(3, created_at=AT, model="<b>m</b>"))
    drawn = await chart(web, "SELECT model, count(*) AS calls FROM calls GROUP BY model")
    assert drawn.status_code == 200
    assert "calls by model" in drawn.text
    assert "&lt;b&gt;m&lt;/b&gt;" in drawn.text
    assert "A chart needs a column of numbers" in (await chart(web, "SELECT model FROM calls")).text
    assert "No rows to draw" in (await chart(web, "SELECT model, 1 AS n FROM calls WHERE false")).text
    for wrong in ("SELEC 1", "SELECT * FROM read_csv('/etc/passwd')", "SELECT 1" + " " * OWN_CHARACTERS):
        assert (await chart(web, wrong)).status_code == 400


async def chart(web: httpx.AsyncClient, sql: str) -> httpx.Response:
    return await web.get("/dashboard/panels/sql/chart", params={"sql": sql})


async def test_questions_are_asked_and_saved_through_the_page(tmp_path: Path) -> None:
    SmallLake(tmp_path / "lake").add("calls", *calls(3, created_at=AT))
    async with serving(tmp_path) as web:
        token = token_in(await web.get("/dashboard/sql"))

        async def sent(method: str, path: str, said: Any = None) -> Any:
            assert (await web.request(method, f"/dashboard/send{path}", json=said)).status_code == 403
            answer = await web.request(method, f"/dashboard/send{path}", json=said, headers=token)
            assert answer.status_code == 200, answer.text
            return answer.json()

        assert (await sent("POST", "/v1/query", {"sql": "SELECT count(*) FROM calls"}))["rows"] == [[3]]
        kept = (await sent("POST", "/v1/helicone-sql/saved-query", {"name": "n", "sql": "SELECT 1"}))["data"]
        await sent("PUT", f"/v1/helicone-sql/saved-query/{kept['id']}", {"name": "n", "sql": "SELECT 2"})
        [listed] = (await sent("GET", "/v1/helicone-sql/saved-queries"))["data"]
        assert (listed["name"], listed["sql"]) == ("n", "SELECT 2")
        await sent("DELETE", f"/v1/helicone-sql/saved-query/{kept['id']}")
        assert (await sent("GET", "/v1/helicone-sql/saved-queries"))["data"] == []
