"""Judgements of calls: what is taken, what is refused, and that 201 means durable."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.admission import Admission
from eventlog.events import FeedbackGiven
from eventlog.keys import Auth
from ingress.feedback import BODY_LIMIT, LEGACY, feedback_routes
from ingress.judgements import SCORES_LIMIT, Invalid, legacy_of, property_of, rating_of, scores_of, tag_of
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
        return await self.send("PUT" if what == "property" else "POST", f"/v1/request/{request_id}/{what}", body)

    async def send(self, method: str, path: str, body: Any = b"") -> httpx.Response:
        content = body if isinstance(body, bytes) else httpx.Request("POST", "http://x", json=body).content
        headers = {"content-type": "application/json", "helicone-auth": f"Bearer {self.key}"}
        return await self.client.request(method, path, content=content, headers=headers)

    def said(self) -> dict[str, Any]:
        """The only judgement that was given, less what every one has."""
        (event,) = self.given
        assert event.organization == "acme"
        found: dict[str, Any] = msgspec.to_builtins(event)
        return {name: value for name, value in found.items() if name not in {"event", "feedback_id", "organization", "given_at"}}


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
    "a comment of no text": ("feedback", {"rating": True, "comment": 7}, "requestBody.comment"),
    "a rating that is none": ("feedback", b'{"rating": NaN}', "requestBody.rating"),
    "more than asked": ("feedback", {"rating": True, "user": "x"}, "requestBody.user"),
    "no scores": ("score", {}, "requestBody.scores"),
    "scores of no shape": ("score", {"scores": [1]}, "requestBody.scores"),
    "a score in words": ("score", {"scores": {"tone": "fine"}}, "requestBody.scores.tone"),
    "a score above all": ("score", b'{"scores": {"tone": 1%s}}' % (b"0" * 400), "requestBody.scores.tone"),
    "a score beyond JSON": ("score", b'{"scores": {"tone": 1e999}}', "requestBody.scores.tone"),
    "a score that is none": ("score", b'{"scores": {"ok": 1, "tone": NaN}}', "requestBody.scores.tone"),
    "an endless score": ("score", b'{"scores": {"tone": -Infinity}}', "requestBody.scores.tone"),
    "half a character": ("score", b'{"scores": {"\\ud800": NaN}}', "requestBody.scores.?"),
    "no character": ("score", b'{"scores": {"\\ud800": 1}}', "requestBody"),
    "a list as score": ("score", {"scores": {"tone": [1]}}, "requestBody.scores.tone"),
    "more scores than anybody gives": ("score", {"scores": dict.fromkeys(map(str, range(SCORES_LIMIT + 1)), 1)}, "requestBody.scores"),
    "no key": ("property", {"value": "x"}, "requestBody.key"),
    "an empty key": ("property", {"key": " ", "value": "x"}, "requestBody.key"),
    "a key of no text": ("property", {"key": 7, "value": "x"}, "requestBody.key"),
    "no value": ("property", {"key": "x"}, "requestBody.value"),
    "a value of no text": ("property", {"key": "x", "value": {"a": 1}}, "requestBody.value"),
    "many properties": ("property", {"key": "x", "value": "y", "properties": {}}, "requestBody.properties"),
    "as deep as can be read": ("feedback", b'{"rating": %s1%s}' % (b"[" * 850, b"]" * 850), "requestBody.rating"),
    "deeper than anybody means": ("feedback", b"[" * 60_000, "requestBody"),
}


@pytest.mark.parametrize(("what", "body", "field"), WRONG.values(), ids=WRONG)
async def test_a_body_that_is_wrong_names_the_field(world: World, what: str, body: object, field: str) -> None:
    answer = await world.post(what, body)
    assert answer.status_code == 422
    assert answer.json()["message"] == "Validation Failed"
    assert (answer.json()["data"], answer.json()["error"].startswith("Validation Failed: ")) == (None, True)
    assert list(answer.json()["details"]) == [field]
    assert world.given == []


@pytest.mark.parametrize("what", ["feedback", "score", "property"])
async def test_an_id_that_is_none_is_the_callers_mistake(world: World, what: str) -> None:
    answer = await world.post(what, {"rating": True}, request_id="call-1")
    assert (answer.status_code, answer.json()) == (400, {"data": None, "error": "Invalid requestId: must be a valid UUID"})


async def test_what_is_not_durable_is_not_answered_as_if_it_were(world: World) -> None:
    world.durable = False
    answer = await world.post("feedback", {"rating": True})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["data"] is None
    assert "Send it again" in answer.json()["error"]


@pytest.mark.parametrize(
    "body", [b" " * (BODY_LIMIT + 1), {"scores": dict.fromkeys(map(str, range(100_000)), 1)}], ids=["spaces", "scores"]
)
async def test_a_body_without_end_is_refused(world: World, body: object) -> None:
    answer = await world.post("score", body)
    assert (answer.status_code, world.given) == (413, [])
    assert str(BODY_LIMIT) in answer.json()["error"]


@pytest.mark.parametrize(("kind", "status"), [("text/plain", 415), ("", 415), ("application/json; charset=utf-8", 201)])
async def test_a_body_is_json_by_its_type(world: World, kind: str, status: int) -> None:
    answer = await world.client.post(
        f"/v1/request/{ID}/feedback", content=b'{"rating": true}', headers={"content-type": kind, "helicone-auth": WRITER}
    )
    assert answer.status_code == status
    assert len(world.given) == (status == 201)
    assert status == 201 or "Content-Type: application/json" in answer.json()["error"]


CALL, SESSION = {"request_id": ID.lower()}, {"request_id": "", "session_id": "a/b c"}
REQUEST_PATH, SESSION_PATH = f"/v1/request/{ID}", "/v1/session/a%2Fb%20c"
NOTHING = {"data": None, "error": None}
SAID: dict[str, tuple[str, str, Any, int, dict[str, Any]]] = {
    "a rating and why": (
        "POST", f"{REQUEST_PATH}/feedback", {"rating": False, "comment": "slow"}, 201, CALL | {"rating": False, "comment": "slow"},
    ),
    "no comment": ("POST", f"{REQUEST_PATH}/feedback", {"rating": True, "comment": None}, 201, CALL | {"rating": True}),
    "null": ("POST", f"{REQUEST_PATH}/feedback", {"rating": None}, 201, CALL | {"rating_retracted": True}),
    "delete": ("DELETE", f"{REQUEST_PATH}/feedback", b"", 200, CALL | {"rating_retracted": True}),
    "a score taken back": (
        "POST", f"{REQUEST_PATH}/score", {"scores": {"a": None, "b": 0.5}}, 201, CALL | {"scores": {"b": 0.5}, "scores_retracted": ["a"]},
    ),
    "a property": ("PUT", f"{REQUEST_PATH}/property", {"key": " Ticket", "value": "T-1"}, 201, CALL | {"properties": {"ticket": "T-1"}}),
    "a property of nothing": ("PUT", f"{REQUEST_PATH}/property", {"key": "x", "value": ""}, 201, CALL | {"properties": {"x": ""}}),
    "a session": ("POST", f"{SESSION_PATH}/feedback", {"rating": True}, 200, SESSION | {"rating": True}),
    "a session taken back": ("DELETE", f"{SESSION_PATH}/feedback", b"", 200, SESSION | {"rating_retracted": True}),
    "a tag": ("POST", f"{SESSION_PATH}/tag", {"tag": "checkout"}, 200, SESSION | {"tag": "checkout"}),
    "a tag taken back": ("POST", f"{SESSION_PATH}/tag", {"tag": None}, 200, SESSION | {"tag": ""}),
}  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "status", "said"), SAID.values(), ids=SAID)
async def test_what_is_said_is_an_event(world: World, method: str, path: str, body: Any, status: int, said: dict[str, Any]) -> None:
    answer = await world.send(method, path, body)
    assert (answer.status_code, answer.json()) == (status, NOTHING)
    assert world.said() == said


OLD: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a rating": ({"rating": True}, {"rating": True}),
    "a rating in words": ({"rating": "false", "comment": "no"}, {"rating": False, "comment": "no"}),
    "taken back": ({"rating": None}, {"rating_retracted": True}),
    "a number": ({"name": "tone", "value": 0.5, "data-type": "numerical"}, {"scores": {"tone": 0.5}}),
    "of no type": ({"name": "tone", "value": 7}, {"scores": {"tone": 7.0}}),
    "a boolean": ({"name": "safe", "value": True, "data-type": "boolean"}, {"scores": {"safe": 1.0}}),
    "a boolean in words": ({"name": "safe", "value": "false", "data-type": "boolean"}, {"scores": {"safe": 0.0}}),
    "the rating by name": ({"name": "rating", "value": True}, {"rating": True}),
    "text": ({"name": "Reviewer", "value": "Ann", "data-type": "string"}, {"properties": {"reviewer": "Ann"}}),
    "a category": ({"name": "kind", "value": "refund", "data-type": "categorical"}, {"properties": {"kind": "refund"}}),
    "a score taken back": ({"name": "tone", "value": None}, {"scores_retracted": ["tone"]}),
}


@pytest.mark.parametrize("path", LEGACY)
@pytest.mark.parametrize(("body", "said"), OLD.values(), ids=OLD)
async def test_what_older_clients_send(world: World, path: str, body: dict[str, Any], said: dict[str, Any]) -> None:
    answer = await world.send("POST", path, {"helicone-id": ID} | body)
    assert (answer.status_code, answer.json()) == (200, {"message": "Feedback added successfully.", "helicone_id": ID})
    assert world.said() == CALL | said


OLD_WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no id": ({"rating": True}, "helicone-id"),
    "no UUID": ({"helicone-id": "call-1", "rating": True}, "helicone-id"),
    "an id of no text": ({"helicone-id": 7, "rating": True}, "helicone-id"),
    "nothing": ({"helicone-id": ID}, "rating"),
    "a number": ({"helicone-id": ID, "rating": 1}, "rating"),
    "no value": ({"helicone-id": ID, "name": "tone"}, "value"),
    "no name": ({"helicone-id": ID, "value": 1}, "name"),
    "another type": ({"helicone-id": ID, "name": "tone", "value": "x", "data-type": "numerical"}, "value"),
    "a boolean as number": ({"helicone-id": ID, "name": "tone", "value": True, "data-type": "numerical"}, "value"),
    "no such type": ({"helicone-id": ID, "name": "tone", "value": 1, "data-type": "date"}, "data-type"),
    "a type of no text": ({"helicone-id": ID, "name": "tone", "value": 1, "data-type": [1]}, "data-type"),
    "a list": ({"helicone-id": ID, "name": "tone", "value": [1]}, "value"),
    "both forms": ({"helicone-id": ID, "name": "tone", "value": 1, "rating": True}, "rating"),
}


@pytest.mark.parametrize(("body", "field"), OLD_WRONG.values(), ids=OLD_WRONG)
async def test_what_older_clients_send_wrong(world: World, body: dict[str, Any], field: str) -> None:
    answer = await world.send("POST", "/v1/feedback", body)
    assert (answer.status_code, list(answer.json()["details"]), world.given) == (422, [f"requestBody.{field}"], [])


async def test_older_clients_are_told_in_text_who_may_not() -> None:
    world = World(Auth.REQUIRED)
    world.key = STRANGER
    answer = await world.send("POST", "/v1/feedback", {"helicone-id": ID, "rating": True})
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0], world.given) == (401, "text/plain", [])


SESSION_WRONG: dict[str, tuple[str, Any, int]] = {
    "no session": ("/v1/session//feedback", {"rating": True}, 400),
    "no tag": ("/v1/session/s/tag", {}, 422),
    "a tag of no text": ("/v1/session/s/tag", {"tag": 1}, 422),
    "more than a tag": ("/v1/session/s/tag", {"tag": "x", "rating": True}, 422),
    "no rating": ("/v1/session/s/feedback", {"rating": 3}, 422),
    "another thing": ("/v1/session/s/score", {"scores": {}}, 404),
}


@pytest.mark.parametrize(("path", "body", "status"), SESSION_WRONG.values(), ids=SESSION_WRONG)
async def test_what_is_wrong_about_a_session(world: World, path: str, body: Any, status: int) -> None:
    answer = await world.send("POST", path, body)
    assert (answer.status_code, world.given) == (status, [])


NAMES = st.sampled_from(["helicone-id", "rating", "comment", "scores", "key", "value", "name", "data-type", "tag", "x"])
ANY = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.sampled_from([ID, "true", "numerical", "boolean"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=6,
)
BODIES = st.one_of(st.dictionaries(NAMES, ANY, max_size=5).map(lambda body: json.dumps(body).encode()), st.binary(max_size=30))


@pytest.mark.parametrize("read", [rating_of, scores_of, property_of, tag_of, legacy_of])
@settings(max_examples=150, deadline=None)
@given(body=BODIES)
def test_any_body_is_a_judgement_or_names_what_is_wrong(read: Callable[[bytes], object], body: bytes) -> None:
    try:
        said = read(body)
    except Invalid as invalid:
        (field,) = invalid.details
        assert field.startswith("requestBody")
        said = invalid.details
    assert msgspec.json.encode(said)
