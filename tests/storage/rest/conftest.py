"""A small lake behind the REST API: six calls of two users, three sessions, two days."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from storage.api import create_api
from storage.query import Limits
from storage.rest.links import Links
from storage.rest.routes import router
from tests.fakes.small_lake import SmallLake

Post = Callable[..., Awaitable[Any]]

CALLS: list[dict[str, Any]] = [
    {
        "call_id": "c1",
        "created_at": "2026-03-01T10:00:00",
        "user_id": "ann",
        "session_id": "s1",
        "session_name": "trip",
        "cost_usd": "0.10",
    },
    {
        "call_id": "c2",
        "created_at": "2026-03-01T10:30:00",
        "user_id": "ann",
        "session_id": "s1",
        "session_name": "trip",
        "cost_usd": "0.20",
    },
    {
        "call_id": "c3",
        "created_at": "2026-03-01T23:30:00",
        "user_id": "bob",
        "session_id": "s2",
        "session_name": "trip",
        "cost_usd": "1.00",
    },
    {
        "call_id": "c4",
        "created_at": "2026-03-02T00:10:00",
        "user_id": "bob",
        "session_id": "s3",
        "status": 500,
        "outcome": "provider_error",
    },
    {"call_id": "c5", "created_at": "2026-03-02T12:00:00", "provider": "anthropic", "model": "claude", "cache_hit": True, "cost_usd": "0"},
    {"call_id": "c6", "created_at": "2026-03-02T12:00:00", "outcome": "interrupted_by_client", "cost_usd": "0.40"},
]
"""In the order of their times; c5 and c6 have the same."""


def _call(number: int, said: dict[str, Any]) -> dict[str, Any]:
    return {
        "request_id": f"r{number}",
        "completed_at": said["created_at"],
        "latency_ms": 100.0 * number,
        "ttft_ms": 10.0 * number,
        "prompt_tokens": 10 * number,
        "completion_tokens": number,
        "request_model": "gpt-4o-mini",
        "properties": {"plan": "pro" if number % 2 else "free"},
        "prompt_id": "greeting" if number == 1 else None,
        "prompt_version": "2" if number == 1 else None,
        "prompt_inputs": {"city": "Rome"} if number == 1 else {},
        **said,
    }


BODIES: list[dict[str, Any]] = [
    {"call_id": "c1", "created_at": "2026-03-01T10:00:00", "side": "request", "text": '{"messages": ["Where is Rome?"]}', "omitted": False},
    {"call_id": "c1", "created_at": "2026-03-01T10:00:00", "side": "response", "assembled": '{"content": "In Italy"}', "omitted": False},
    {"call_id": "c2", "created_at": "2026-03-01T10:30:00", "side": "request", "text": None, "omitted": True},
    {"call_id": "c2", "created_at": "2026-03-01T10:30:00", "side": "response", "text": "Internal error", "omitted": False},
    {
        "call_id": "c3",
        "created_at": "2026-03-01T23:30:00",
        "side": "request",
        "base64": "/w==",
        "omitted": False,
        "undecodable": "no UTF-8",
    },
]
FEEDBACK: list[dict[str, Any]] = [
    {"feedback_id": "f1", "request_id": "r1", "given_at": "2026-03-03T00:00:00", "rating": False, "scores": {"helpful": 1.0}},
    {"feedback_id": "f2", "request_id": "r1", "given_at": "2026-03-03T00:00:01", "rating": True, "scores": {"helpful": 0.5, "short": 1.0}},
    {"feedback_id": "f3", "request_id": "r3", "given_at": "2026-03-03T00:00:02", "rating": False, "scores": {}},
    {"feedback_id": "f4", "session_id": "s1", "given_at": "2026-03-03T00:00:03", "tag": "good", "scores": {}},
    {
        "feedback_id": "f5",
        "request_id": "r2",
        "organization": "other",
        "given_at": "2026-03-03T00:00:04",
        "rating": True,
        "scores": {"x": 1.0},
    },
]


def filled(folder: Path) -> SmallLake:
    lake = SmallLake(folder)
    lake.add("calls", *(_call(number, said) for number, said in enumerate(CALLS, 1)))
    lake.add(
        "calls", {"call_id": "other", "request_id": "r9", "organization": "other", "created_at": "2026-03-01T10:00:00", "user_id": "eve"}
    )
    lake.add("bodies", *BODIES)
    lake.add("feedback", *FEEDBACK)
    return lake


@asynccontextmanager
async def asked_at(lake: SmallLake) -> AsyncIterator[httpx.AsyncClient]:
    app = create_api(lake.config, limits=Limits(rows=1000, timeout_s=10))
    app.state.links = Links()
    app.include_router(router)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://127.0.0.1") as client,
    ):
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """One for all tests that only read."""
    async with asked_at(filled(tmp_path_factory.mktemp("lake"))) as client:
        yield client


@pytest.fixture(scope="module")
def post(client: httpx.AsyncClient) -> Post:
    """The data of a success."""

    async def post(path: str, body: Any, status: int = 200) -> Any:
        answer = await client.post(path, json=body)
        assert answer.status_code == status, answer.text
        assert answer.json()["error"] is None
        return answer.json()["data"]

    return post
