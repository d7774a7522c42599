"""Calls as Helicone's request API tells them, thirty of many kinds; and that API itself, as far as an export asks it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from uuid import UUID, uuid5

KEY = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-hhhhhhh"
NAMES = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
BEGAN = datetime(2025, 3, 1, 10, tzinfo=UTC)
NOT_HERE = {"helicone_message": "fetching body from signed_url... contact engineering@helicone.ai for more information"}
NO_CACHE = "00000000-0000-0000-0000-000000000000"


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def uuid(name: str) -> str:
    """Of version 4, as Helicone's are."""
    return str(UUID(bytes=uuid5(NAMES, name).bytes, version=4))


def call(number: int, **more: Any) -> dict[str, Any]:
    """A chat with gpt-4o-mini; `more` changes what it says."""
    began = BEGAN + timedelta(hours=number)
    usage = {"prompt_tokens": 10 + number, "completion_tokens": number, "total_tokens": 10 + 2 * number}
    return {
        "response_id": uuid(f"response {number}"),
        "response_created_at": _text(began + timedelta(milliseconds=1000 + number)),
        "response_body": {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "model": "gpt-4o-mini-2024-07-18",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": f"Answer {number}"}, "finish_reason": "stop"}],
            "usage": usage,
        },
        "response_status": 200,
        "response_model": "gpt-4o-mini-2024-07-18",
        "request_id": uuid(f"request {number}"),
        "request_created_at": _text(began),
        "request_body": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"Question {number}"}]},
        "request_path": "https://api.openai.com/v1/chat/completions",
        "request_user_id": f"user-{number % 3}",
        "request_properties": {"plan": "pro"},
        "request_model": "gpt-4o-mini",
        "model_override": None,
        "helicone_user": None,
        "provider": "OPENAI",
        "delay_ms": 1000 + number,
        "time_to_first_token": 100 + number,
        "total_tokens": usage["total_tokens"],
        "prompt_tokens": usage["prompt_tokens"],
        "prompt_cache_write_tokens": 0,
        "prompt_cache_read_tokens": 0,
        "completion_tokens": usage["completion_tokens"],
        "reasoning_tokens": 0,
        "prompt_audio_tokens": 0,
        "completion_audio_tokens": 0,
        "cost": 0.000123456 + number,
        "costUSD": 0.000123456 + number,
        "prompt_id": "",
        "prompt_version": "",
        "feedback_created_at": None,
        "feedback_id": None,
        "feedback_rating": None,
        "signed_body_url": None,
        "llmSchema": None,
        "country_code": "DE",
        "asset_ids": None,
        "asset_urls": None,
        "scores": {},
        "properties": {"plan": "pro"},
        "assets": [],
        "target_url": "https://api.openai.com/v1/chat/completions",
        "model": "gpt-4o-mini-2024-07-18",
        "cache_reference_id": NO_CACHE,
        "cache_enabled": False,
        "updated_at": _text(began),
        "request_referrer": None,
        "ai_gateway_body_mapping": None,
        "storage_location": "clickhouse",
        **more,
    }


def _anthropic() -> dict[str, Any]:
    answer = {"type": "message", "role": "assistant", "model": "claude-3-5-sonnet-20241022", "content": [{"type": "text", "text": "Hi"}]}
    counted = {"input_tokens": 20, "output_tokens": 5, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 50}
    url = "https://api.anthropic.com/v1/messages"
    return {
        "provider": "ANTHROPIC",
        "request_path": url,
        "target_url": url,
        "request_body": {"model": "claude-3-5-sonnet-20241022", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
        "response_body": answer | {"usage": counted, "stop_reason": "end_turn"},
        "request_model": "claude-3-5-sonnet-20241022",
        "response_model": "claude-3-5-sonnet-20241022",
        "model": "claude-3-5-sonnet-20241022",
        "prompt_tokens": 20,
        "completion_tokens": 5,
        "prompt_cache_read_tokens": 100,
        "prompt_cache_write_tokens": 50,
    }


SESSION = {"Helicone-Session-Id": "trip-1", "Helicone-Session-Name": "Trip", "Helicone-Session-Path": "/plan/hotel", "team": "Blau & Grün"}
SILENT = {"id": "x", "object": "chat.completion", "model": "gpt-4o-mini-2024-07-18", "choices": []}
ELSEWHERE = {"request_body": NOT_HERE, "response_body": NOT_HERE, "signed_body_url": "/bodies/19"}

KINDS: dict[int, dict[str, Any]] = {
    1: {"feedback_rating": True, "scores": {"helicone-score-feedback": 1, "accuracy": 90, "sound-hcone-bool": 1}},
    2: {"feedback_rating": None, "scores": {"helicone-score-feedback": 0}},
    3: {"properties": SESSION, "request_properties": SESSION},
    4: {"prompt_id": "greeting", "prompt_version": "3"},
    5: {"properties": {"Helicone-Prompt-Id": "old-greeting"}, "request_properties": None},
    6: {"response_status": 429, "response_body": {"error": {"message": "slow down", "code": "rate_limited"}}, "cost": 0, "costUSD": None},
    7: {"response_status": -3, "response_body": None, "cost": None, "costUSD": None},
    8: {"response_status": 500, "response_body": "upstream broke", "cost": 0, "costUSD": 0},
    9: _anthropic(),
    10: {"response_body": SILENT, "reasoning_tokens": 7, "prompt_cache_read_tokens": 30},
    11: {"cache_reference_id": uuid("request 1"), "cache_enabled": True, "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    12: {"request_user_id": "", "properties": {}, "request_properties": {}},
    13: {"model_override": "gpt-4o", "model": "gpt-4o"},
    14: {"request_body": "", "response_body": ""},
    15: {"request_body": {"model": "gpt-4o-mini", "stream": True, "messages": []}},
    16: {"request_body": "a=1&b=2", "request_path": "https://api.openai.com/v1/images/edits", "target_url": None},
    17: {"request_body": [{"model": "one"}, {"model": "two"}]},
    18: {"cost": 1e-9, "costUSD": None},
    19: ELSEWHERE,
    20: {"provider": "CUSTOM", "request_path": "custom-model-nopath", "target_url": "", "cost": None, "costUSD": None},
    21: {"response_created_at": None},
    22: {"response_created_at": "2025-03-01T00:00:00Z"},
    23: {"time_to_first_token": None, "delay_ms": 12.5},
    24: {"properties": {"number": 7, "flag": True, "nothing": None, "GROSS": "x"}, "request_properties": None},
    25: {"request_created_at": "2025-03-02 11:00:00.123", "response_created_at": "2025-03-02 11:00:01.148"},
    26: {"request_body": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Grüße 🌍"}]}},
    27: {"response_status": None, "response_id": None, "response_body": None, "response_model": None, "cost": None, "costUSD": None},
    28: {
        "request_body": {"_type": "tool", "toolName": "search"},
        "response_body": {"hits": 3},
        "model": "tool:search",
        "provider": "CUSTOM",
    },
    29: {"response_body": [1, {"two": 2}]},
}
CALLS: list[dict[str, Any]] = [call(number, **KINDS.get(number, {})) for number in range(30)]
"""In the order of their times, two days of them."""

BODIES = {"/bodies/19": {"request": CALLS[0]["request_body"], "response": CALLS[0]["response_body"]}}
"""Behind the links of those whose bodies lie elsewhere."""


class _Api(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path != "/v1/request/query-clickhouse" or self.headers["authorization"] != f"Bearer {KEY}":
            self._answer(401, {"error": "Unauthorized", "trace": "isAuthenticated.error"})
            return
        after = asked["filter"]["request_response_rmt"]["request_created_at"]["gte"]
        began = _moment(after)
        found = sorted((each for each in CALLS if _at(each) >= began), key=_at, reverse=asked["sort"]["created_at"] == "desc")
        page = found[asked["offset"] :][: asked["limit"]]
        base = f"http://{self.headers['host']}"
        self._answer(201, {"data": [each | _link(each, base) for each in page], "error": None})

    def do_GET(self) -> None:
        self._answer(200, BODIES[self.path])

    def _answer(self, status: int, told: Any) -> None:
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """A test's output is its own."""


def _at(told: dict[str, Any]) -> datetime:
    return _moment(told["request_created_at"])


def _moment(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _link(told: dict[str, Any], base: str) -> dict[str, Any]:
    return {"signed_body_url": None if told["signed_body_url"] is None else base + told["signed_body_url"]}


@contextmanager
def helicone() -> Iterator[str]:
    """Helicone's API, as far as an export asks it; its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Api)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
