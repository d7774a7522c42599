"""Sessions, users, properties and feedback over HTTP: their figures, their files, what is hostile in them, and what is said where there is
nothing.
"""

import csv
import html
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from eventlog.keys import Scope
from tests.fakes.browser import Served
from tests.fakes.hostile_text import HOSTILE
from tests.fakes.keyring import READER, STRANGER, key, keyring
from tests.fakes.small_lake import SmallLake
from tests.storage.dashboard.test_pages import token_in

PANELS = "/dashboard/panels"


def at(minute: float) -> str:
    return f"2026-01-02T20:{int(minute):02}:{minute % 1 * 60:06.3f}Z"


def call(number: int, **more: Any) -> dict[str, Any]:
    return {"call_id": f"c{number}", "created_at": at(number), "cost_usd": "0.5", "total_tokens": 10} | more


NOW = 1_767_400_000.0  # 2026-01-03T00:26:40Z
SIMPLE = READER[:-1] + "s"
HOSTILES = READER[:-1] + "h"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("people"), lambda: NOW) as made:
        _fill(made.lake)
        whose = {READER: "default", STRANGER: "rivals", SIMPLE: "simple", HOSTILES: "hostile"}
        made.keys = keyring(*(key(text, Scope.READ, organization=name) for text, name in whose.items()))
        yield made


def _fill(lake: SmallLake) -> None:
    trip = {"session_id": "trip/1?", "session_name": "Trip", "user_id": "ada"}
    lake.add(
        "calls",
        call(0, session_path="/plan", **trip),
        call(1, session_path="/plan/flights", **trip | {"user_id": "bob"}, model="o4", cost_usd="2"),
        call(2, session_path="/plan/flights", **trip, outcome="provider_error", status=500, cost_usd=None),
        call(3, session_id="alone", user_id="ada", properties={"plan": "pro"}, prompt_id="greet", prompt_version="2"),
        call(4, user_id="ada", properties={"plan": "free"}, cost_usd=None, price_source="unpriced: nobody knows"),
        call(5, organization="rivals", session_id="theirs", user_id="eve", properties={"secret": "x"}),
        call(6, organization="simple"),
        *(
            call(7, call_id=f"h{n}", organization="hostile", properties={"k": text}, session_path=text)
            | dict.fromkeys(("session_id", "session_name", "user_id"), text)
            for n, text in enumerate(HOSTILE)
        ),
    )
    said = {"rating": False, "organization": "hostile", "given_at": at(9)}
    lake.add(
        "feedback",
        {"feedback_id": "f1", "request_id": "c3", "given_at": at(10), "rating": False, "comment": "Wrong <b>city</b>."},
        {"feedback_id": "f2", "request_id": "c0", "given_at": at(10), "rating": True, "scores": {"tone": 0.25}},
        {"feedback_id": "f3", "request_id": "c1", "given_at": at(11), "scores": {"tone": 0.75}},
        *({"feedback_id": f"h{n}", "request_id": f"h{n}", "comment": text} | said for n, text in enumerate(HOSTILE)),
    )


@contextmanager
def signed_in(served: Served, said: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.base, timeout=60) as client:
        page = client.get("/dashboard/sign-in")
        assert client.post("/dashboard/sign-in", json={"key": said}, headers=token_in(page)).status_code == 200
        yield client


@pytest.fixture
def web(served: Served) -> Iterator[httpx.Client]:
    with signed_in(served, READER) as client:
        yield client


def shown(web: httpx.Client, path: str) -> str:
    """What a panel says, as text."""
    answer = web.get(f"{PANELS}/{path}")
    assert answer.status_code == 200, answer.text
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text)).replace("\u202f", " ")


def file(web: httpx.Client, path: str) -> list[dict[str, str]]:
    answer = web.get(f"{PANELS}/{path}")
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text)))


class TestSessions:
    def test_a_row_for_each_with_its_figures(self, web: httpx.Client) -> None:
        rows = {row["session_id"]: row for row in file(web, "sessions/list.csv")}
        assert set(rows) == {"trip/1?", "alone"}
        trip = rows["trip/1?"]
        assert [trip[name] for name in ("name", "calls", "errors", "total_tokens", "users")] == ["Trip", "3", "1", "30", "2"]
        assert float(trip["cost_usd"]) == 2.5
        assert float(trip["duration_ms"]) == 120_000

    @pytest.mark.parametrize(("said", "first"), [("", "alone"), ("cost", "trip/1?"), ("cost.up", "alone"), ("name", "trip/1?")])
    def test_they_are_sorted(self, web: httpx.Client, said: str, first: str) -> None:
        assert (file(web, f"sessions/list.csv?sort={said}"))[0]["session_id"] == first

    def test_they_are_filtered(self, web: httpx.Client) -> None:
        for said, found in {"only=errors": ["trip/1?"], "named=Trip": ["trip/1?"], "named=-": ["alone"], "user=bob": ["trip/1?"]}.items():
            assert [row["session_id"] for row in file(web, f"sessions/list.csv?{said}")] == found
        assert "No session is like that" in shown(web, "sessions/list?named=nothing")

    def test_by_name(self, web: httpx.Client) -> None:
        text = shown(web, "sessions/kinds")
        assert "Trip 1 $2.50" in text
        assert "Without a name 1 $0.500" in text

    def test_one_as_a_tree(self, web: httpx.Client) -> None:
        page = web.get(f"/dashboard/sessions/{quote('trip/1?', safe='')}?range=1h")
        assert page.status_code == 200
        address = re.search(r'data-src="([^"]+)"', page.text)
        assert address
        whole = web.get(address[1].replace("&amp;", "&"))
        assert whole.text.count('class="call-bar') == 3
        assert '/dashboard/calls/c2?range=1h"' in whole.text
        text = shown(web, "session/whole?session_id=trip/1?")
        assert "plan $2.50 100 %" in text
        assert "flights $2.00 80 %" in text
        assert "No such session" in shown(web, "session/whole?session_id=theirs")


class TestUsers:
    def test_ranked(self, web: httpx.Client) -> None:
        by_cost = file(web, "users/values.csv")
        assert [(row["value"], row["calls"]) for row in by_cost] == [("bob", "1"), ("ada", "4")]
        assert [row["value"] for row in file(web, "users/values.csv?rank=calls")] == ["ada", "bob"]
        text = shown(web, "users/values")
        assert "66.7 %" in text  # of the cost: 2 of 3
        assert "2 users, by cost" in text

    def test_one_of_them(self, web: httpx.Client) -> None:
        assert "Cost $1.00" in shown(web, "user/figures?user_id=ada&user=bob")
        assert "Trip trip/1?" in shown(web, "user/sessions?user_id=ada")
        assert "free" in shown(web, "user/properties?user_id=ada")
        assert "No calls of this user here" in shown(web, "user/figures?user_id=eve")


class TestProperties:
    def test_the_values_of_a_key(self, web: httpx.Client) -> None:
        text = shown(web, "properties/values")
        assert "secret" not in text
        assert "3 values" in text
        rows = file(web, "properties/values.csv?key=PLAN&rank=calls")
        assert [(row["value"], row["calls"]) for row in rows] == [("", "3"), ("free", "1"), ("pro", "1")]
        assert "property.plan=pro" in (web.get(f"{PANELS}/properties/values")).text


class TestFeedback:
    def test_ratings_are_cut_in_every_way(self, web: httpx.Client) -> None:
        rows = file(web, "feedback/ratings.csv?key=plan")
        found = {(row["cut_by"], row["model"], row["prompt"], row["version"], row["property"]): (row["rated"], row["good"]) for row in rows}
        assert found["all", "", "", "", ""] == ("2", "1")
        assert found["model", "gpt-4o-mini", "", "", ""] == ("2", "1")
        assert found["prompt", "", "greet", "2", ""] == ("1", "0")
        assert found["property", "", "", "", "pro"] == ("1", "0")
        text = shown(web, "feedback/ratings")
        assert "Share of good 50 %" in text
        assert "3 of 5 were rated or scored" in text

    def test_scores_and_how_they_spread(self, web: httpx.Client) -> None:
        whole = next(row for row in file(web, "feedback/scores.csv") if not row["piece"])
        assert [float(whole[name]) for name in ("given", "mean", "least", "most", "p50")] == [2, 0.5, 0.25, 0.75, 0.5]
        assert "tone, how it spreads" in shown(web, "feedback/scores")

    def test_the_worst_with_what_was_said(self, web: httpx.Client) -> None:
        assert "Wrong &lt;b&gt;city&lt;/b&gt;." in shown(web, "feedback/worst")
        assert [row["call_id"] for row in file(web, "feedback/worst.csv?worst=tone")] == ["c0", "c1"]
        assert "No call of this time has the score nothing" in shown(web, "feedback/worst?worst=nothing")


def test_others_see_none_of_it(served: Served) -> None:
    with signed_in(served, STRANGER) as web:
        for panel in ("sessions/list", "users/values", "properties/values", "feedback/ratings", "feedback/worst"):
            text = shown(web, panel)
            assert not re.search(r"\b(ada|bob|Trip|greet)\b", text), panel
        assert "None of these 1 calls was rated" in shown(web, "feedback/ratings")


def test_where_nothing_was_sent_pages_say_how(served: Served) -> None:
    with signed_in(served, SIMPLE) as web:
        for panel, header in {
            "sessions/list": "Helicone-Session-Id",
            "users/values": "Helicone-User-Id",
            "properties/values": "Helicone-Property-Feature",
        }.items():
            assert f'-H "{header}:' in html.unescape(shown(web, panel)), panel
        for panel in ("sessions/list", "users/values", "properties/values", "feedback/ratings"):
            assert "No calls here" in shown(web, f"{panel}?model=none"), panel
        assert "POST http://localhost:8787/v1/request/$HELICONE_ID/feedback" in shown(web, "feedback/ratings")


def test_whatever_was_named_stays_text(served: Served) -> None:
    with signed_in(served, HOSTILES) as web:
        for panel in ("sessions/list", "sessions/kinds", "users/values?show=250", "properties/values?key=k", "feedback/worst"):
            answer = web.get(f"{PANELS}/{panel}")
            assert answer.status_code == 200, answer.text
            outside = re.sub(r'"[^"]*"', '""', answer.text)
            assert not re.search(r"<(script|img|iframe|b)\b|<[^>]*\s(on\w+|style)=", outside), panel
        for nasty in (text for text in HOSTILE[::40] if text):
            whole = web.get(f"{PANELS}/session/whole", params={"session_id": nasty})
            assert whole.text.count('class="call-bar') == 1
