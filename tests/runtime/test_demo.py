"""The demo provider: the real packages talk to it, and it breaks as asked."""

import gzip
from collections.abc import Iterator

import anthropic
import brotli
import httpx
import openai
import pytest
import zstandard

from tests.fakes.stack import Stack

MESSAGES = [{"role": "user", "content": "hello"}]
BODY = {"model": "gpt-4o-mini", "messages": MESSAGES}


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    made = Stack(folder=tmp_path_factory.mktemp("demo"))
    made.start_provider()
    yield made.provider
    made.stop("provider")


def post(
    provider: str, fault: str = "", body: dict[str, object] = BODY, path: str = "/v1/chat/completions", **headers: str
) -> httpx.Response:
    return httpx.post(provider + path, json=body, headers={"x-demo-fault": fault, **headers})


def test_the_same_request_has_the_same_answer(provider: str) -> None:
    assert post(provider).content == post(provider).content
    assert post(provider, body=BODY | {"stream": True}).content == post(provider, body=BODY | {"stream": True}).content


def test_openai_talks_to_it(provider: str) -> None:
    with openai.OpenAI(api_key="x", base_url=f"{provider}/v1", max_retries=0) as client:
        answer = client.chat.completions.create(model="m", messages=MESSAGES)  # type: ignore[call-overload]
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
        assert client.models.list().data
        assert client.embeddings.create(model="m", input="x").data[0].embedding


def test_anthropic_talks_to_it(provider: str) -> None:
    with anthropic.Anthropic(api_key="x", base_url=provider, max_retries=0) as client:
        assert client.messages.create(model="m", max_tokens=9, messages=MESSAGES).stop_reason == "end_turn"  # type: ignore[arg-type]


STATUSES = {"429 with a time": ("status=429, retry-after=9", 429), "500": ("status=500", 500), "204": ("status=204", 204)}


@pytest.mark.parametrize(("fault", "status"), STATUSES.values(), ids=STATUSES)
def test_statuses(provider: str, fault: str, status: int) -> None:
    assert post(provider, fault).status_code == status


def test_errors_have_the_dialects_shape(provider: str) -> None:
    assert "error" in post(provider, "status=500").json()
    assert post(provider, "status=500", **{"anthropic-version": "1"}).json()["type"] == "error"


ENCODINGS = {
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("stream", [False, True])
def test_encodings(provider: str, encoding: str, stream: bool) -> None:
    body = BODY | {"stream": stream}
    with httpx.stream("POST", f"{provider}/v1/chat/completions", json=body, headers={"x-demo-fault": f"encoding={encoding}"}) as answer:
        sent = b"".join(answer.iter_raw())
    assert ENCODINGS[encoding](sent) == post(provider, body=body).content


def test_what_is_flagged(provider: str) -> None:
    asked = [{"input": text} for text in ("a kind word", "I will Harm you")]
    flagged = [httpx.post(f"{provider}/v1/moderations", json=body).json()["results"][0]["flagged"] for body in asked]
    assert flagged == [False, True]


def test_tokens_are_counted(provider: str) -> None:
    said = {"model": "claude-3-5-haiku-latest", "messages": [{"role": "user", "content": "hello " * 50}]}
    counted = httpx.post(f"{provider}/v1/messages/count_tokens", json=said).json()["input_tokens"]
    assert counted == httpx.post(f"{provider}/v1/messages", json=said | {"max_tokens": 5}).json()["usage"]["input_tokens"] > 50


BROKEN = ["reset-before", "reset-after=10", "half", "wrong-length"]


@pytest.mark.parametrize("fault", BROKEN)
def test_broken_answers(provider: str, fault: str) -> None:
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        post(provider, fault)


def test_sizes_and_chunks(provider: str) -> None:
    assert len(post(provider, "size=1000000").content) == 1_000_000
    assert post(provider, "chunks=50", body=BODY | {"stream": True}).text.count('"content": "word') == 50


def test_faults_are_obeyed_only_when_asked_for(tmp_path_factory: pytest.TempPathFactory) -> None:
    made = Stack(folder=tmp_path_factory.mktemp("plain"))
    process = made.spawn("provider", "demo", "provider", "--port", str(made.provider_port))
    from tests.fakes.stack import wait_until_ready  # noqa: PLC0415

    wait_until_ready(f"{made.provider}/healthz", process, made.folder / "provider.log")
    assert post(made.provider, "status=500").status_code == 200
    made.stop("provider")
