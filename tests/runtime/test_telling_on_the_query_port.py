"""Calls are told of on the query port as on the proxy's: in whatever type, and longer than a question may be."""

import json
from pathlib import Path

import pytest

from tests.fakes.spans import as_json, as_protobuf, export, span
from tests.runtime.test_price_routes import serving

LONG = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "x" * (2 << 20)}]}
LOG = json.dumps({"providerRequest": {"url": "x", "json": LONG}, "providerResponse": {"status": 200, "json": {}}}).encode()
TOLD = {
    "a long call": ("/oai/v1/log", LOG, "application/json"),
    "a call without a type": ("/oai/v1/log", LOG, ""),
    "lines": ("/v1/log/batch", LOG + b"\n" + LOG, "application/x-ndjson"),
    "spans in Protobuf": ("/v1/traces", as_protobuf(export(span())), "application/x-protobuf"),
    "spans in JSON": ("/v1/trace/log", as_json(export(span())), "application/json"),
    "spans as Helicone's client sends them": ("/v1/trace/log-python", as_protobuf(export(span())), "application/x-protobuf"),
}


async def test_every_way_to_tell_of_calls(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        for name, (path, body, content_type) in TOLD.items():
            answer = await api.post(path, content=body, headers={"content-type": content_type} if content_type else {})
            assert answer.status_code == 200, (name, answer.text)
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for source in (b'"async_log"', b'"otlp"'):
        assert source in kept


@pytest.mark.parametrize("path", ["/v1/query", "/v1/traces/"])
async def test_what_is_asked_must_be_json(tmp_path: Path, path: str) -> None:
    async with serving(tmp_path) as api:
        answer = await api.post(path, content=b"SELECT 1", headers={"content-type": "application/x-protobuf"})
    assert answer.status_code == 415
