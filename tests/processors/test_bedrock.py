"""What Bedrock's dialects promise beside their cases: the speed of long streams, odd bodies, the model in the path."""

import base64
import json
import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.events import Body
from processors.calls import understand
from processors.dialects import dialect_for
from processors.dialects.bedrock_converse import DIALECT as CONVERSE
from processors.dialects.bedrock_invoke import DIALECT as INVOKE
from processors.dialects.bedrock_usage import model_in
from processors.dialects.dialect import Dialect
from processors.pricing.rates import RateBook
from tests.processors import frames
from tests.processors.events import batch, call, completed

CASES = Path(__file__).parents[1] / "cases" / "dialects"
STREAMS = [
    (dialect, path.read_text()) for dialect in (CONVERSE, INVOKE) for path in sorted(CASES.glob(f"{dialect.name}/*/response.frames"))
]
CONTENT_TYPE = "application/vnd.amazon.eventstream"
MUTATIONS = 2_000
"""For each of two seeds."""


def body_of(data: bytes, **more: object) -> Body:
    return Body(base64=base64.b64encode(data).decode(), size=len(data), content_type=CONTENT_TYPE, **more)  # type: ignore[arg-type]


def attempt(dialect: Dialect, body: Body) -> None:
    reading = dialect.read(body)
    assert reading.usage is None or reading.usage.input >= 0
    text = dialect.assemble(body)
    assert text is None or isinstance(json.loads(text), dict)


MODELS = {
    "an id": ("/model/anthropic.claude-3-haiku-20240307-v1:0/converse", "anthropic.claude-3-haiku-20240307-v1:0"),
    "percent-encoded": ("/model/us.amazon.nova-pro-v1%3A0/invoke", "us.amazon.nova-pro-v1:0"),
    "behind a prefix": ("/aws/model/us.amazon.nova-pro-v1%3A0/converse-stream", "us.amazon.nova-pro-v1:0"),
    "an ARN in China": (
        "/model/arn%3Aaws-cn%3Abedrock%3Acn-north-1%3A%3Afoundation-model%2Famazon.nova-lite-v1%3A0/invoke",
        "amazon.nova-lite-v1:0",
    ),
    "provisioned": ("/model/arn:aws:bedrock:us-east-1:1:provisioned-model%2Fabc/invoke", "provisioned-model/abc"),
    "a router": ("/model/arn:aws:bedrock:us-east-1:1:prompt-router%2Fabc/converse", None),
    "an ARN that ends early": ("/model/arn:aws:bedrock/converse", "arn:aws:bedrock"),
    "nothing": ("/model//converse", None),
    "no path of Bedrock": ("/v1/messages", None),
}


@pytest.mark.parametrize(("path", "model"), MODELS.values(), ids=MODELS)
def test_model_in_a_path(path: str, model: str | None) -> None:
    assert model_in(path) == model


CLAIMS = {
    "/model/x/converse": "bedrock.converse",
    "/model/x/converse-stream": "bedrock.converse",
    "/model/x/invoke": "bedrock.invoke",
    "/model/x/invoke-with-response-stream?y=1": "bedrock.invoke",
    "/model/x/count-tokens": "token_counting",
    "/model/x/invoke-with-bidirectional-stream": None,
    "/guardrail-checks/invoke": None,
    "/async-invoke": None,
}


@pytest.mark.parametrize(("path", "name"), CLAIMS.items())
def test_claims(path: str, name: str | None) -> None:
    dialect = dialect_for(call("bedrock", path), Body())
    assert (None if dialect is None else dialect.name) == name


def test_what_the_caller_calls_it_goes_before_the_path() -> None:
    body = body_of(b'{"usage":{"inputTokens":1000,"outputTokens":100}}')
    facts = call("bedrock", "/model/us.amazon.nova-pro-v1%3A0/converse", model=None, model_override="amazon.nova-lite-v1:0")
    (row,) = understand(batch(completed(facts=facts, body=body)), RateBook.bundled()).calls.events
    assert (row.model, row.cost_usd) == ("amazon.nova-lite-v1:0", "0.000084")


def test_ten_thousand_frames_in_good_time() -> None:
    """Each takes some microseconds; a square would take minutes."""
    delta = frames.event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "word "}})
    llama = frames.chunk({"generation": "word ", "stop_reason": None})
    claude = frames.chunk({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "word "}})
    nova = frames.chunk({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "word "}}})
    mistral = frames.chunk({"outputs": [{"text": "word ", "stop_reason": None}]})
    begun = time.perf_counter()
    for dialect, frame in ((CONVERSE, delta), (INVOKE, llama), (INVOKE, claude), (INVOKE, nova), (INVOKE, mistral)):
        body = body_of(frame * 10_000)
        assert dialect.read(body).unreadable is None
        text = dialect.assemble(body)
        assert text is not None
        assert text.count("word ") == 10_000
    assert time.perf_counter() - begun < 5


def test_as_many_blocks_as_events_are_no_square() -> None:
    blocks = b"".join(frames.event("contentBlockDelta", {"contentBlockIndex": at, "delta": {"text": "a"}}) for at in range(10_000))
    lists = frames.chunk({"choices": [{"text": "a"}] * 100}) * 1_000
    begun = time.perf_counter()
    for dialect, data in ((CONVERSE, blocks), (INVOKE, lists)):
        assert dialect.assemble(body_of(data)) is not None
    assert time.perf_counter() - begun < 5


@pytest.mark.parametrize("seed", range(2))
def test_any_mutation_of_frames(seed: int) -> None:
    """Bytes that are broken, and frames that are sound and say what no model says."""
    chance = random.Random(20261124 + seed)
    for _ in range(MUTATIONS):
        dialect, lines = chance.choice(STREAMS)
        said = lines.splitlines()
        at = chance.randrange(len(said))
        said[at] = chance.choice([said[at], said[chance.randrange(len(said))], _of_another_kind(said[at], chance)])
        data = bytearray(frames.stream_of("\n".join(said)))
        if chance.random() < 0.5:
            place = chance.randrange(len(data))
            data[place : place + chance.choice([0, 1, 9])] = chance.randbytes(chance.choice([0, 1, 9]))
        attempt(dialect if chance.random() < 0.8 else chance.choice([CONVERSE, INVOKE]), body_of(bytes(data)))


def _of_another_kind(line: str, chance: random.Random) -> str:
    """One value of a frame's JSON replaced by one of another kind."""
    said = json.loads(line)
    inside = next((said[name] for name in ("payload", "chunk") if name in said), None)
    while isinstance(inside, dict) and inside:
        name = chance.choice(list(inside))
        if not isinstance(inside[name], dict) or chance.random() < 0.4:
            inside[name] = chance.choice([None, [], {}, [1], {"a": 1}, -1, 1.5, True, "x", [[{"index": 0}]], 10**30])
            break
        inside = inside[name]
    return json.dumps(said)


@pytest.mark.parametrize("depth", [100, 600, 800, 100_000])
def test_depth(depth: int) -> None:
    deep = "[" * depth + "]" * depth
    kinds = ["text", "toolUse", "reasoningContent", "image", "citation", "toolResult"]
    events = [f'{{"contentBlockIndex":0,"{half}":{{"{kind}":{{"a":{deep}}}}}}}' for kind in kinds for half in ("start", "delta")]
    headers = {":event-type": "contentBlockDelta", ":message-type": "event"}
    for event in events:
        attempt(CONVERSE, body_of(frames.frame(headers, event.encode())))
    nested = '{"message":' * depth + "1" + "}" * depth
    for said in (f'{{"generation":{deep}}}', nested, f'{{"choices":{deep}}}', f'{{"contentBlockDelta":{events[0]}}}'):
        chunk = json.dumps({"bytes": base64.b64encode(said.encode()).decode()}).encode()
        attempt(INVOKE, body_of(frames.frame({":event-type": "chunk", ":message-type": "event"}, chunk)))


@given(st.binary(max_size=300), st.booleans())
@settings(max_examples=200)
def test_any_bytes(data: bytes, truncated: bool) -> None:
    for dialect in (CONVERSE, INVOKE):
        attempt(dialect, body_of(data, truncated=truncated))
        attempt(dialect, body_of(frames.frame({":event-type": "chunk", ":message-type": "event"}, data)))


def test_a_stream_that_is_text_by_chance() -> None:
    """Frames may consist of bytes that are UTF-8: such a body is kept as text."""
    payloads = (b'{"n":%s%d}' % (b" " * blank, number) for blank in range(80) for number in range(20))
    data = next(data for payload in payloads if _is_text(data := frames.frame({":message-type": "event"}, payload)))
    assert CONVERSE.read(Body(text=data.decode(), content_type=CONTENT_TYPE)).unreadable is None


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize(("dialect", "lines"), STREAMS, ids=range(len(STREAMS)))
def test_a_stream_cut_anywhere_takes_nothing_back(dialect: Dialect, lines: str) -> None:
    """What a shorter piece has counted, a longer one has at least, unless it says something impossible."""
    data, counted = frames.stream_of(lines), 0
    for end in range(0, len(data), 7):
        reading = dialect.read(body_of(data[:end]))
        if reading.refused is None:
            output = 0 if reading.usage is None else reading.usage.output
            assert output >= counted
            counted = output
