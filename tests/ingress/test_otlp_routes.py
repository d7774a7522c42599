"""The endpoints of OpenTelemetry's exporters: both encodings, their answers, and that 200 means durable."""

import gzip
import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
import zstandard
from fastapi import FastAPI
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from eventlog.admission import Admission
from eventlog.codec import BatchId
from eventlog.events import ResponseCompleted, Source
from eventlog.keys import Auth
from eventlog.redaction import Redaction
from ingress.async_log_calls import Call
from ingress.otlp.answers import MOST_NAMED
from ingress.otlp.export import EXPORT_BYTES
from ingress.otlp.once import Once
from ingress.otlp.routes import DOORS, otlp_routes
from ingress.redactor import Pair
from tests.fakes.ingress import headers_of, running, status_of
from tests.fakes.keyring import KEYS, MADE_AT, READER, STRANGER, WRITER
from tests.fakes.spans import BEGAN, CHAT, PARENT, SPAN, as_json, as_protobuf, export, span

JSON, PROTOBUF = "application/json", "application/x-protobuf"
ENCODE = {JSON: as_json, PROTOBUF: as_protobuf}
WRONG = span(CHAT, spanId="0" * 16)
NOISE = span({"http.request.method": "GET"}, spanId=PARENT)


class World:
    def __init__(self, auth: Auth | None = None) -> None:
        self.written: list[ResponseCompleted] = []
        self.durable = True
        app = FastAPI()
        admission = Admission(auth, lambda: KEYS, clock=MADE_AT.timestamp)
        app.include_router(otlp_routes(self.log, admission, lambda: BEGAN + 60.0, body_limit=8 << 20))
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here")

    async def log(self, calls: Sequence[Pair], batch: BatchId | None) -> bool:
        assert batch is None
        for received, completed in calls:
            assert received.call == completed.call
            self.written.append(completed)
        return self.durable

    async def post(self, body: bytes, content_type: str = JSON, path: str = "/v1/traces", **headers: str) -> httpx.Response:
        named = {"authorization": f"Bearer {WRITER}", "content-type": content_type}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(path, content=body, headers={name: value for name, value in named.items() if value})


@pytest.fixture
def world() -> World:
    return World()


def message_of(answer: httpx.Response) -> str:
    """Of a Status, in the encoding that was spoken."""
    if answer.headers["content-type"] == JSON:
        return str(answer.json()["message"])
    return str(Status.FromString(answer.content).message)


@pytest.mark.parametrize("content_type", ENCODE)
@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.path)
async def test_every_endpoint_takes_both_encodings(world: World, door: Any, content_type: str) -> None:
    answer = await world.post(ENCODE[content_type](export(span(), NOISE)), content_type, door.path)
    assert (answer.status_code, answer.headers["heliograph-spans"]) == (200, "calls=1, steps=0, left-out=1, refused=0")
    assert answer.content == (b"{}" if content_type == JSON and door.usual is None else b"")
    assert [each.call.source for each in world.written] == [Source.OTLP]


@pytest.mark.parametrize("content_type", ENCODE)
async def test_what_is_refused_is_told_and_the_rest_is_taken(world: World, content_type: str) -> None:
    answer = await world.post(ENCODE[content_type](export(WRONG, span(), *(MOST_NAMED * [WRONG]))), content_type)
    assert (answer.status_code, answer.headers["content-type"], len(world.written)) == (200, content_type, 1)
    if content_type == JSON:
        partial = answer.json()["partialSuccess"]
        rejected, message = int(partial["rejectedSpans"]), partial["errorMessage"]
    else:
        told = ExportTraceServiceResponse.FromString(answer.content).partial_success
        rejected, message = told.rejected_spans, told.error_message
    assert rejected == 1 + MOST_NAMED
    assert message.startswith("resourceSpans[0].scopeSpans[0].spans[0].spanId must be")
    assert message.endswith("and 1 more")


@pytest.mark.parametrize(("path", "content_type"), [("/v1/trace/log", ""), ("/v1/trace/log-python", ""), ("/v1/trace/log", "text/plain")])
async def test_helicones_paths_need_no_type(world: World, path: str, content_type: str) -> None:
    encode = as_protobuf if path.endswith("python") else as_json
    answer = await world.post(encode(export(span(), WRONG)), content_type, path)
    assert (answer.status_code, len(world.written)) == (200, 1)
    assert b"spanId" in answer.content


REFUSED: dict[str, tuple[bytes, dict[str, str], int, str]] = {
    "no export": (b"{", {}, 400, "body must be JSON"),
    "no Protobuf": (b"\xff\xff", {"content_type": PROTOBUF}, 400, "body must be an ExportTraceServiceRequest"),
    "resource spans of no kind": (b'{"resourceSpans":7}', {}, 400, "resourceSpans is of the wrong type"),
    "another type": (b"", {"content_type": "text/plain"}, 415, "Content-Type must be"),
    "no type": (b"", {"content_type": ""}, 415, "Content-Type must be"),
    "an encoding nobody knows": (b"{}", {"content_encoding": "lzma"}, 400, "Content-Encoding cannot be undone"),
    "a broken encoding": (b"{}", {"content_encoding": "gzip"}, 400, "Content-Encoding cannot be undone"),
    "too long": (b" " * (EXPORT_BYTES + 1), {"content_type": PROTOBUF}, 413, "more than 20 MiB"),
    "a bomb": (gzip.compress(b" " * (EXPORT_BYTES + 1)), {"content_encoding": "gzip"}, 413, "more than 20 MiB"),
    "no key": (b"{}", {"authorization": ""}, 401, "Unauthorized"),
    "a stranger's key": (b"{}", {"authorization": f"Bearer {STRANGER}"}, 401, "key"),
    "a key that may not write": (b"{}", {"authorization": f"Bearer {READER}"}, 403, "write"),
}


@pytest.mark.parametrize(("body", "headers", "status", "words"), REFUSED.values(), ids=REFUSED)
async def test_what_is_refused_whole(body: bytes, headers: dict[str, str], status: int, words: str) -> None:
    world = World(Auth.REQUIRED)
    answer = await world.post(body, **headers)
    assert (answer.status_code, world.written) == (status, [])
    assert words in message_of(answer)


async def test_helicones_paths_tell_errors_as_others_of_its_do(world: World) -> None:
    answer = await world.post(b'{"resourceSpans":7}', path="/v1/trace/log")
    assert (answer.status_code, answer.json()["field"]) == (400, "resourceSpans")


@pytest.mark.parametrize(("encoding", "encode"), [("gzip", gzip.compress), ("zstd", zstandard.ZstdCompressor().compress)])
async def test_bodies_may_be_compressed(world: World, encoding: str, encode: Any) -> None:
    answer = await world.post(encode(as_protobuf(export(span()))), PROTOBUF, content_encoding=encoding)
    assert (answer.status_code, len(world.written)) == (200, 1)


async def test_what_is_not_durable_is_to_be_sent_again(world: World) -> None:
    world.durable = False
    answer = await world.post(as_protobuf(export(span())), PROTOBUF)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "again" in message_of(answer)


async def test_what_was_taken_is_not_written_again(world: World) -> None:
    body = as_json(export(span(), span(spanId=PARENT)))
    for _ in range(2):
        assert (await world.post(body)).status_code == 200
    assert len({each.call.call_id for each in world.written}) == len(world.written) == 2


async def test_what_was_not_taken_is_written_again() -> None:
    world = World()
    world.durable = False
    body = as_json(export(span()))
    await world.post(body)
    world.durable = True
    assert (await world.post(body)).status_code == 200
    assert len(world.written) == 2


async def test_few_are_remembered() -> None:
    world = World()
    await world.post(as_json(export(span(), span(spanId=PARENT))))
    one, other = (Call((None, each), None) for each in world.written)  # type: ignore[arg-type]
    written: list[str] = []

    async def log(calls: Sequence[Pair], _batch: BatchId | None) -> bool:
        written.extend(completed.call.call_id for _, completed in calls)
        return True

    once = Once(log, remembered=1)
    for call in (one, one, other, one):
        assert await once.write(call)
    assert written == [each.facts.call_id for each in (one, other, one)]


async def test_a_key_names_the_organization(world: World) -> None:
    await world.post(as_json(export(span())), helicone_auth=f"Bearer {WRITER}", authorization="")
    assert [each.call.organization for each in world.written] == ["acme"]


async def test_on_the_proxy_port_words_are_redacted() -> None:
    def rule(organization: Any) -> Redaction:
        return Redaction(organization=organization, detectors=("email",), set_at=MADE_AT)

    said = CHAT | {"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "I am a@example.com"}
    async with running(redaction_for=rule) as world:
        answer = await world.post("/v1/traces", as_json(export(span(said))))
        assert (status_of(answer), headers_of(answer)["heliograph-spans"]) == (200, "calls=1, steps=0, left-out=0, refused=0")
        (received,), (completed,) = await world.requests(), await world.responses()
    assert (received.call.call_id, received.redactions) == (completed.call.call_id, {"email": 1})
    assert "a@example.com" not in (received.request.text or "")
    assert json.loads(completed.response.text or "")["usage"]["prompt_tokens"] == 100


async def test_a_large_export_is_taken() -> None:
    spans = [span(CHAT | {"gen_ai.completion.0.content": "x" * 1000}, spanId=f"{number:016x}") for number in range(1, 513)]
    world = World()
    assert (await world.post(as_protobuf(export(*spans)), PROTOBUF)).status_code == 200
    assert len(world.written) == 512
    assert SPAN not in {each.call.properties["otel.span_id"] for each in world.written}
