"""Sessions, users, properties and feedback over HTTP: their figures, their files, what is hostile in them, and what is said where there is
nothing.
"""

import csv
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from eventlog.keys import Scope
from tests.fakes.hostile_text import HOSTILE
from tests.fakes.keyring import READER, STRANGER, key, keyring
from tests.storage.dashboard.test_pages import World, sign_in

PANELS = "/dashboard/panels"


def at(minute: float) -> str:
    return f"2026-01-02T20:{int(minute):02}:{minute % 1 * 60:06.3f}Z"


def call(number: int, **more: Any) -> dict[str, Any]:
    return {"call_id": f"c{number}", "created_at": at(number), "cost_usd": "0.5", "total_tokens": 10} | more


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    world = World(tmp_path)
    trip = {"session_id": "trip/1?", "session_name": "Trip", "user_id": "ada"}
    world.lake.add(
        "calls",
        call(0, session_path="/plan", **trip),
        call(1, session_path="/plan/flights", **trip | {"user_id": "bob"}, model="o4", cost_usd="2"),
        call(2, session_path="/plan/flights", **trip, outcome="provider_error", status=500, cost_usd=None),
        call(3, session_id="alone", user_id="ada", properties={"plan": "pro"}, prompt_id="greet", prompt_version="2"),
        call(4, user_id="ada", properties={"plan": "free"}, cost_usd=None, price_source="unpriced: nobody knows"),
        call(5, organization="rivals", session_id="theirs", user_id="eve", properties={"secret": "x"}),
    )
    world.lake.add(
        "feedback",
        {"feedback_id": "f1", "request_id": "c3", "given_at": at(10), "rating": False, "comment": "Wrong <b>city</b>."},
        {"feedback_id": "f2", "request_id": "c0", "given_at": at(10), "rating": True, "scores": {"tone": 0.25}},
        {"feedback_id": "f3", "request_id": "c1", "given_at": at(11), "scores": {"tone": 0.75}},
    )
    world.keys = keyring(key(READER, Scope.READ, organization="default"), key(STRANGER, Scope.READ, organization="rivals"))
    async with world.serve() as client:
        await sign_in(client, READER)
        yield client


async def shown(web: httpx.AsyncClient, path: str) -> str:
    """What a panel says, as text."""
    answer = await web.get(f"{PANELS}/{path}")
    assert answer.status_code == 200, answer.text
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text)).replace("\u202f", " ")


async def file(web: httpx.AsyncClient, path: str) -> list[dict[str, str]]:
    answer = await web.get(f"{PANELS}/{path}")
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text)))


class TestSessions:
    async def test_a_row_for_each_with_its_figures(self, web: httpx.AsyncClient) -> None:
        rows = {row["session_id"]: row for row in await file(web, "sessions/list.csv")}
        assert set(rows) == {"trip/1?", "alone"}
        trip = rows["trip/1?"]
        assert [trip[name] for name in ("name", "calls", "errors", "total_tokens", "users")] == ["Trip", "3", "1", "30", "2"]
        assert float(trip["cost_usd"]) == 2.5
        assert float(trip["duration_ms"]) == 120_000

    @pytest.mark.parametrize(("said", "first"), [("", "alone"), ("cost", "trip/1?"), ("cost.up", "alone"), ("name", "trip/1?")])
    async def test_they_are_sorted(self, web: httpx.AsyncClient, said: str, first: str) -> None:
        assert (await file(web, f"sessions/list.csv?sort={said}"))[0]["session_id"] == first

    async def test_they_are_filtered(self, web: httpx.AsyncClient) -> None:
        for said, found in {"only=errors": ["trip/1?"], "named=Trip": ["trip/1?"], "named=-": ["alone"], "user=bob": ["trip/1?"]}.items():
            assert [row["session_id"] for row in await file(web, f"sessions/list.csv?{said}")] == found
        assert "No session is like that" in await shown(web, "sessions/list?named=nothing")

    async def test_by_name(self, web: httpx.AsyncClient) -> None:
        text = await shown(web, "sessions/kinds")
        assert "Trip 1 $2.50" in text
        assert "Without a name 1 $0.500" in text

    async def test_one_as_a_tree(self, web: httpx.AsyncClient) -> None:
        page = await web.get(f"/dashboard/sessions/{quote('trip/1?', safe='')}?range=1h")
        assert page.status_code == 200
        address = re.search(r'data-src="([^"]+)"', page.text)
        assert address
        whole = await web.get(address[1].replace("&amp;", "&"))
        assert whole.text.count('class="call-bar') == 3
        assert '/dashboard/calls/c2?range=1h"' in whole.text
        text = await shown(web, "session/whole?session_id=trip/1?")
        assert "plan $2.50 100 %" in text
        assert "flights $2.00 80 %" in text
        assert "No such session" in await shown(web, "session/whole?session_id=theirs")


class TestUsers:
    async def test_ranked(self, web: httpx.AsyncClient) -> None:
        by_cost = await file(web, "users/values.csv")
        assert [(row["value"], row["calls"]) for row in by_cost] == [("bob", "1"), ("ada", "4")]
        assert [row["value"] for row in await file(web, "users/values.csv?rank=calls")] == ["ada", "bob"]
        text = await shown(web, "users/values")
        assert "66.7 %" in text  # of the cost: 2 of 3
        assert "2 users, by cost" in text

    async def test_one_of_them(self, web: httpx.AsyncClient) -> None:
        assert "Cost $1.00" in await shown(web, "user/figures?user_id=ada&user=bob")
        assert "Trip trip/1?" in await shown(web, "user/sessions?user_id=ada")
        assert "free" in await shown(web, "user/properties?user_id=ada")
        assert "No calls of this user here" in await shown(web, "user/figures?user_id=eve")


class TestProperties:
    async def test_the_values_of_a_key(self, web: httpx.AsyncClient) -> None:
        text = await shown(web, "properties/values")
        assert "secret" not in text
        assert "3 values" in text
        rows = await file(web, "properties/values.csv?key=PLAN&rank=calls")
        assert [(row["value"], row["calls"]) for row in rows] == [("", "3"), ("free", "1"), ("pro", "1")]
        assert "property.plan=pro" in (await web.get(f"{PANELS}/properties/values")).text


class TestFeedback:
    async def test_ratings_are_cut_in_every_way(self, web: httpx.AsyncClient) -> None:
        rows = await file(web, "feedback/ratings.csv?key=plan")
        found = {(row["cut_by"], row["model"], row["prompt"], row["version"], row["property"]): (row["rated"], row["good"]) for row in rows}
        assert found["all", "", "", "", ""] == ("2", "1")
        assert found["model", "gpt-4o-mini", "", "", ""] == ("2", "1")
        assert found["prompt", "", "greet", "2", ""] == ("1", "0")
        assert found["property", "", "", "", "pro"] == ("1", "0")
        text = await shown(web, "feedback/ratings")
        assert "Share of good 50 %" in text
        assert "3 of 5 were rated or scored" in text

    async def test_scores_and_how_they_spread(self, web: httpx.AsyncClient) -> None:
        whole = next(row for row in await file(web, "feedback/scores.csv") if not row["piece"])
        assert [float(whole[name]) for name in ("given", "mean", "least", "most", "p50")] == [2, 0.5, 0.25, 0.75, 0.5]
        assert "tone, how it spreads" in await shown(web, "feedback/scores")

    async def test_the_worst_with_what_was_said(self, web: httpx.AsyncClient) -> None:
        assert "Wrong &lt;b&gt;city&lt;/b&gt;." in await shown(web, "feedback/worst")
        assert [row["call_id"] for row in await file(web, "feedback/worst.csv?worst=tone")] == ["c0", "c1"]
        assert "No call of this time has the score nothing" in await shown(web, "feedback/worst?worst=nothing")


async def test_others_see_none_of_it(web: httpx.AsyncClient) -> None:
    await sign_in(web, STRANGER)
    for panel in ("sessions/list", "users/values", "properties/values", "feedback/ratings", "feedback/worst"):
        text = await shown(web, panel)
        assert not re.search(r"\b(ada|bob|Trip|greet)\b", text), panel
    assert "None of these 1 calls was rated" in await shown(web, "feedback/ratings")
    assert "POST http://localhost:8787/v1/request/$HELICONE_ID/feedback" in await shown(web, "feedback/ratings")


async def test_before_anything_was_sent_pages_say_how(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.lake.add("calls", {"call_id": "c", "created_at": at(1)})
    async with world.serve() as web:
        for panel, header in {
            "sessions/list": "Helicone-Session-Id",
            "users/values": "Helicone-User-Id",
            "properties/values": "Helicone-Property-Feature",
        }.items():
            text = await shown(web, panel)
            assert f'-H "{header}:' in text.replace("&#34;", '"'), panel


async def test_whatever_was_named_stays_text(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.lake.add(
        "calls",
        *(
            call(1, call_id=f"h{place}", session_id=text, session_name=text, session_path=text, user_id=text, properties={"k": text})
            for place, text in enumerate(HOSTILE)
        ),
    )
    world.lake.add(
        "feedback", *({"request_id": f"h{n}", "given_at": at(9), "rating": False, "comment": text} for n, text in enumerate(HOSTILE))
    )
    async with world.serve() as web:
        for panel in ("sessions/list", "sessions/kinds", "users/values?show=250", "properties/values?key=k", "feedback/worst"):
            answer = await web.get(f"{PANELS}/{panel}")
            assert answer.status_code == 200, answer.text
            assert not re.search(r"<(script|img|iframe|b)\b|<[^>]*\son\w+=|<[^>]*\sstyle=", re.sub(r'"[^"]*"', '""', answer.text)), panel
        nasty = next(text for text in HOSTILE if "'" in text)
        whole = await web.get(f"{PANELS}/session/whole", params={"session_id": nasty})
        assert whole.text.count('class="call-bar') == 1
