"""Judgements of calls: what is taken, what is refused, and that 201 means durable."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from eventlog.admission import Admission
from eventlog.events import FeedbackGiven
from eventlog.keys import Auth
from ingress.feedback import BODY_LIMIT, feedback_routes
from tests.fakes.keyring import KEYS, READER, STRANGER, WRITER

ID = "0190c5d4-9c8b-7b1e-8f3a-0123456789AB"
AT = 1_764_000_000.0


class World:
    def __init__(self, auth: Auth | None = None) -> None:
        self.key = WRITER
        self.given: list[FeedbackGiven] = []
        self.durable = True
        app = FastAPI()
        app.include_router(feedback_routes(self.judge, Admission(auth, lambda: KEYS), lambda: AT))
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here")

    async def judge(self, event: FeedbackGiven) -> bool:
        self.given.append(event)
        return self.durable

    async def post(self, what: str, body: Any, request_id: str = ID) -> httpx.Response:
        content = body if isinstance(body, bytes) else httpx.Request("POST", "http://x", json=body).content
        return await self.client.post(
            f"/v1/request/{request_id}/{what}",
            content=content,
            headers={"content-type": "application/json", "helicone-auth": f"Bearer {self.key}"},
        )


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(("said", "rating"), [(True, True), (False, False), ("true", True), ("false", False)])
async def test_a_rating_is_an_event_with_an_id_of_its_own(world: World, said: object, rating: bool) -> None:
    answers = [await world.post("feedback", {"rating": said}) for _ in range(2)]
    assert [(answer.status_code, answer.json()) for answer in answers] == [(201, {"data": None, "error": None})] * 2
    first, second = world.given
    assert (first.request_id, first.organization, first.rating, first.scores) == (ID.lower(), "acme", rating, {})
    assert first.given_at.timestamp() == AT
    assert first.feedback_id != second.feedback_id


@pytest.mark.parametrize("auth", [None, Auth.REQUIRED, Auth.PERMISSIVE])
@pytest.mark.parametrize(("key", "status"), [(STRANGER, 401), (READER, 403), (WRITER, 201)])
async def test_who_may_judge(auth: Auth | None, key: str, status: int) -> None:
    """Nobody unknown, not even where their calls are let through: nobody could say whose call is judged."""
    world = World(auth)
    world.key = key
    answer = await world.post("feedback", {"rating": True})
    assert answer.status_code == status
    assert bool(world.given) is (answer.json()["error"] is None)


async def test_scores_are_numbers(world: World) -> None:
    answer = await world.post("score", {"scores": {"accuracy": 0.5, "tone": 7, "safe": True, "rude": False}})
    assert answer.status_code == 201
    assert world.given[0].scores == {"accuracy": 0.5, "tone": 7.0, "safe": 1.0, "rude": 0.0}
    assert world.given[0].rating is None


WRONG = {
    "no body": ("feedback", b"", "requestBody"),
    "no JSON": ("feedback", b"{rating}", "requestBody"),
    "no object": ("feedback", [True], "requestBody"),
    "nothing": ("feedback", {}, "requestBody.rating"),
    "a number": ("feedback", {"rating": 1}, "requestBody.rating"),
    "another text": ("feedback", {"rating": "good"}, "requestBody.rating"),
    "null": ("feedback", {"rating": None}, "requestBody.rating"),
    "more than asked": ("feedback", {"rating": True, "user": "x"}, "requestBody.user"),
    "no scores": ("score", {}, "requestBody.scores"),
    "scores of no shape": ("score", {"scores": [1]}, "requestBody.scores"),
    "a score in words": ("score", {"scores": {"tone": "fine"}}, "requestBody.scores.tone"),
    "a score above all": ("score", b'{"scores": {"tone": 1%s}}' % (b"0" * 400), "requestBody.scores.tone"),
    "a score beyond JSON": ("score", b'{"scores": {"tone": 1e999}}', "requestBody"),
    "deeper than anybody means": ("feedback", b"[" * 60_000, "requestBody"),
}


@pytest.mark.parametrize(("what", "body", "field"), WRONG.values(), ids=WRONG)
async def test_a_body_that_is_wrong_names_the_field(world: World, what: str, body: object, field: str) -> None:
    answer = await world.post(what, body)
    assert answer.status_code == 422
    assert answer.json()["message"] == "Validation Failed"
    assert list(answer.json()["details"]) == [field]
    assert world.given == []


@pytest.mark.parametrize("what", ["feedback", "score"])
async def test_an_id_that_is_none_is_refused_as_helicone_does(world: World, what: str) -> None:
    answer = await world.post(what, {"rating": True}, request_id="call-1")
    assert (answer.status_code, answer.json()) == (500, {"data": None, "error": "Invalid requestId: must be a valid UUID"})


async def test_what_is_not_durable_is_not_answered_as_if_it_were(world: World) -> None:
    world.durable = False
    answer = await world.post("feedback", {"rating": True})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["data"] is None
    assert "Send it again" in answer.json()["error"]


async def test_a_body_without_end_is_refused(world: World) -> None:
    assert (await world.post("feedback", b" " * (BODY_LIMIT + 1))).status_code == 413


@pytest.mark.parametrize(("kind", "status"), [("text/plain", 415), ("", 415), ("application/json; charset=utf-8", 201)])
async def test_a_body_is_json_by_its_type(world: World, kind: str, status: int) -> None:
    answer = await world.client.post(
        f"/v1/request/{ID}/feedback", content=b'{"rating": true}', headers={"content-type": kind, "helicone-auth": WRITER}
    )
    assert answer.status_code == status
    assert len(world.given) == (status == 201)
    assert status == 201 or "Content-Type: application/json" in answer.json()["error"]
