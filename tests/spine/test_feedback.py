"""What is said of a call, before its row is there and after, on both ports: SQL answers by the newest of it, and keeps all."""

import subprocess
import time
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.fakes.stack import Stack

ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Judge me"}]}
NOTHING = {"data": None, "error": None}
FRESH_S = 60
"""Patience for a busy machine; two seconds are promised."""


def call(stack: Stack, request_id: str) -> None:
    headers = {"authorization": "Bearer sk-test", "helicone-request-id": request_id, "helicone-property-env": "prod"}
    httpx.post(f"{stack.proxy}/v1/chat/completions", json=ASKED, headers=headers, timeout=30).raise_for_status()


def say(method: str, url: str, body: Any = None) -> Any:
    answer = httpx.request(method, url, json=body, timeout=30) if body is not None else httpx.request(method, url, timeout=30)
    assert answer.is_success, answer.text
    return answer.json()


def wait_for(stack: Stack, sql: str, wanted: list[dict[str, Any]]) -> None:
    deadline = time.monotonic() + FRESH_S
    while (found := stack.query(sql)) != wanted:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


@pytest.mark.needs("curl")
@pytest.mark.parametrize("door", ["proxy", "api"])
def test_a_call_judged_before_it_is_there_and_after(stack: Stack, door: str) -> None:
    base, request_id = getattr(stack, door), str(uuid4())
    url = f"{base}/v1/request/{request_id}"
    curl = ["curl", "-fsS", "-m", "20", "-X", "POST", f"{url}/feedback", "-H", "Authorization: Bearer sk-helicone-xxxx"]
    said = subprocess.run(
        [*curl, "-H", "Content-Type: application/json", "-d", '{"rating": true}'], check=True, capture_output=True, timeout=30
    )
    assert said.stdout == b'{"data":null,"error":null}'
    call(stack, request_id)
    assert say("POST", f"{url}/score", {"scores": {"accuracy": 0.9, "tone": 7}}) == NOTHING
    assert say("PUT", f"{url}/property", {"key": "Ticket", "value": "T-1"}) == NOTHING
    row = stack.row(f"request_id = '{request_id}' AND rating AND cardinality(scores) = 2 AND properties['ticket'] = 'T-1'")
    assert (row["scores"], row["properties"]) == ({"accuracy": 0.9, "tone": 7.0}, {"env": "prod", "ticket": "T-1"})

    old = say("POST", f"{base}/v1/feedback", {"helicone-id": request_id, "rating": False})
    assert old == {"message": "Feedback added successfully.", "helicone_id": request_id}
    stack.row(f"request_id = '{request_id}' AND NOT rating")
    assert say("DELETE", f"{url}/feedback") == NOTHING
    assert say("POST", f"{url}/score", {"scores": {"tone": None}}) == NOTHING
    row = stack.row(f"request_id = '{request_id}' AND rating IS NULL AND cardinality(scores) = 1")
    assert row["scores"] == {"accuracy": 0.9}
    history = stack.query(f"SELECT rating, rating_retracted FROM feedback WHERE request_id = '{request_id}' ORDER BY given_at")
    assert [(each["rating"], each["rating_retracted"]) for each in history] == [
        (True, False),
        (None, False),
        (None, False),
        (False, False),
        (None, True),
        (None, False),
    ]


@pytest.mark.parametrize("door", ["proxy", "api"])
def test_a_session(stack: Stack, door: str) -> None:
    name = uuid4().hex
    url = f"{getattr(stack, door)}/v1/session/of%2F{name}"
    assert say("POST", f"{url}/feedback", {"rating": True, "comment": "Found it."}) == NOTHING
    assert say("POST", f"{url}/tag", {"tag": "checkout"}) == NOTHING
    asked = f"SELECT rating, comment, tag FROM feedback WHERE session_id = 'of/{name}' ORDER BY given_at"
    both = [{"rating": True, "comment": "Found it.", "tag": None}, {"rating": None, "comment": None, "tag": "checkout"}]
    wait_for(stack, asked, both)
    assert say("GET", f"{stack.api}/v1/session/of%2F{name}/tag") == {"data": "checkout", "error": None}
    assert say("POST", f"{url}/tag", {"tag": None}) == NOTHING
    wait_for(stack, asked, [*both, {"rating": None, "comment": None, "tag": ""}])
    assert say("GET", f"{stack.api}/v1/session/of%2F{name}/tag") == NOTHING
