import json
import time

import msgspec
import pytest

from eventlog.events import Body, CallPriced, Outcome, PriceBasis, ResponseCompleted, TokenUsage, UsageSource
from processors import calls
from processors.assembled import assemble, assembled
from processors.calls import Poison, understand
from processors.dialects import dialect_for
from processors.dialects.dialect import Dialect
from processors.pricing.bill import LOCAL
from processors.pricing.rates import RateBook
from tests.processors.events import ANSWER, AT, batch, call, completed

RATES = RateBook.bundled()


def row_of(event: ResponseCompleted) -> CallPriced:
    (row,) = understand(batch(event), RATES).calls.events
    return row


def test_a_row_repeats_the_facts_of_its_event() -> None:
    event = completed(
        facts=call(user_id="u", properties={"a": "b"}),
        ttft_ms=3.5,
        request_bytes=77,
        request_truncated=True,
        attempts=3,
        fallback_index=1,
        error="why",
    )
    row = row_of(event)
    same = ("call", "completed_at", "outcome", "status", "latency_ms", "ttft_ms", "request_bytes", "attempts", "fallback_index", "error")
    assert all(getattr(row, name) == getattr(event, name) for name in same)
    assert (row.response_bytes, row.truncated, row.dialect) == (len(ANSWER), True, "openai.chat")


def test_an_empty_batch_stays_one() -> None:
    understood = understand(batch(sequence=7), RATES)
    assert (understood.calls.id.sequence, understood.calls.events, understood.poison) == (7, (), ())


PATHS = {
    "/v1/chat/completions": "openai.chat",
    "/v1/chat/completions?x=1": "openai.chat",
    "/v1/chat/completions/": "openai.chat",
    "/openai/deployments/x/chat/completions": "openai.chat",
    "/v1/completions": "openai.completions",
    "/inference/v1/completions": "openai.completions",
    "/v1/embeddings": "openai.embeddings",
    "/v1/responses": "openai.responses",
    "/v1/images/generations": "openai.images",
    "/v1/images/edits": "openai.images",
    "/v1/images/variations": "openai.images",
    "/v1/audio/speech": "openai.speech",
    "/v1/audio/transcriptions": "openai.transcriptions",
    "/openai/v1/audio/translations": "openai.transcriptions",
    "/v1/moderations": "openai.moderations",
    "/v1/responses/compact": "openai.responses",
    "/v1/responses/resp_1/cancel": "openai.stored_responses",
    "/v1/batches": "openai.batches",
    "/v1/messages": "anthropic.messages",
    "/v1/messages?beta=true": "anthropic.messages",
    "/v1/messages/count_tokens": "token_counting",
    "/v1/responses/input_tokens": "token_counting",
    "/v1/messages/batches": "anthropic.batches",
    "/v1/threads/t/messages": None,
    "/v1/models": None,
    "/": None,
    "": None,
}


@pytest.mark.parametrize(("path", "name"), PATHS.items(), ids=PATHS)
def test_a_dialect_claims_by_the_path(path: str, name: str | None) -> None:
    dialect = dialect_for(call(path=path), Body())
    assert (None if dialect is None else dialect.name) == name


OWNERS = {
    "Cohere's": ("cohere", "/v2/chat", "cohere.chat"),
    "its first version's": ("cohere", "/v1/chat", "cohere.chat_v1"),
    "its path of another": ("chat.example.com", "/v1/chat", None),
    "a rerank of another": ("vllm", "/v1/rerank", None),
    "Cohere in OpenAI's shape": ("cohere", "/compatibility/v1/chat/completions", "openai.chat"),
    "Mistral's conversation": ("mistral", "/v1/conversations/conv_1", "mistral.conversations"),
    "OpenAI's conversation": ("openai", "/v1/conversations", None),
    "Mistral's fill-in-the-middle": ("mistral", "/v1/fim/completions", "openai.chat"),
    "Ollama wherever it runs": ("gpu.example.com", "/api/chat", "ollama.chat"),
    "no Ollama": ("gpu.example.com", "/api/chat/completions", "openai.chat"),
}


@pytest.mark.parametrize(("provider", "path", "name"), OWNERS.values(), ids=OWNERS)
def test_a_dialect_claims_by_the_provider_where_the_path_is_everybodys(provider: str, path: str, name: str | None) -> None:
    dialect = dialect_for(call(provider, path), Body())
    assert (None if dialect is None else dialect.name) == name


@pytest.mark.parametrize("provider", sorted(LOCAL))
def test_what_runs_locally_costs_nothing_and_says_so(provider: str) -> None:
    row = row_of(completed(facts=call(provider)))
    assert (row.cost_usd, row.price_source) == ("0", f"runs locally: {provider} bills nobody")


def test_a_local_server_that_was_not_asked_has_no_price() -> None:
    row = row_of(completed(None, facts=call("ollama"), outcome=Outcome.UNREACHABLE))
    assert (row.cost_usd, row.price_source) == (None, "unpriced: no usage reported, unreachable")


FETCHED = {
    "/v1/responses/resp_1": "openai.stored_responses",
    "/v1/responses/resp_1?stream=true": "openai.stored_responses",
    "/v1/responses/resp_1/input_items": None,
    "/v1/responses": None,
    "/v1/responses/compact": None,
    "/v1/batches/batch_1": "openai.batches",
    "/v1/messages/batches": "anthropic.batch_results",
    "/v1/messages/batches/b": "anthropic.batch_results",
    "/v1/messages/batches/b/results": "anthropic.batch_results",
    "/v1/messages/m/batches/b/c/d": None,
    "/v1/files/file-1/content": None,
}


@pytest.mark.parametrize(("path", "name"), FETCHED.items(), ids=FETCHED)
def test_what_is_fetched_again(path: str, name: str | None) -> None:
    dialect = dialect_for(call(path=path, method="GET"), Body())
    assert (None if dialect is None else dialect.name) == name
    assert dialect_for(call(path=path, method="DELETE"), Body()) is None


def test_only_post_makes_an_answer() -> None:
    row = row_of(completed(facts=call(method="GET")))
    assert (row.dialect, row.usage, row.cost_usd) == (None, None, None)


def test_two_usages_of_a_stream_of_images_are_no_count() -> None:
    usage = '"usage":{"input_tokens":%d,"output_tokens":10,"total_tokens":%d}'
    stream = "".join(f'data: {{"type":"image_generation.completed","b64_json":"",{usage % (n, n + 10)}}}\n\n' for n in (1, 2))
    row = row_of(completed(stream, facts=call(path="/v1/images/generations", model="gpt-image-1")))
    assert (row.usage, row.cost_usd, row.price_source) == (None, None, "unpriced: usage refused, usage is no object")


def test_a_call_that_is_no_model_call() -> None:
    row = row_of(completed('{"usage":{"prompt_tokens":1}}', facts=call(path="/v1/files", model=None)))
    assert (row.dialect, row.usage, row.cost_usd, row.price_source) == (None, None, None, "unpriced: no model call that we know of")


@pytest.mark.parametrize("outcome", [Outcome.REJECTED, Outcome.RATE_LIMITED, Outcome.UNREACHABLE, Outcome.ABANDONED])
def test_an_answer_of_our_own_is_not_read(outcome: Outcome) -> None:
    row = row_of(completed(ANSWER, outcome=outcome, error="refused"))
    assert (row.dialect, row.usage, row.cost_usd, row.error) == ("openai.chat", None, None, "refused")


def test_the_model_override_names_and_prices_the_call() -> None:
    row = row_of(completed(facts=call(model="house", model_override="gpt-4o-mini")))
    assert (row.model, row.response_model, row.cost_usd) == ("gpt-4o-mini", "gpt-4o-2024-08-06", "0.00021")


def test_the_answer_names_the_model_else_the_request() -> None:
    assert row_of(completed()).model == "gpt-4o-2024-08-06"
    assert row_of(completed(ANSWER.replace('"model":"gpt-4o-2024-08-06",', ""))).model == "gpt-4o"
    nobody = row_of(completed(ANSWER.replace('"model":"gpt-4o-2024-08-06",', ""), facts=call(model=None)))
    assert (nobody.model, nobody.price_source) == (None, "unpriced: neither request nor answer names a model")


def test_a_name_of_ten_kilobytes_prices_nothing() -> None:
    row = row_of(completed(ANSWER.replace("gpt-4o-2024-08-06", "gpt-4o" * 2_000)))
    assert row.cost_usd is None
    assert len(row.model or "") == 256


def test_a_hit_of_our_own_cache_costs_nothing_and_says_what_it_saved() -> None:
    row = row_of(completed(cache_hit=True, cache_reference_id="other"))
    assert (row.cost_usd, row.cost_saved_usd, row.price_source) == ("0", "0.0035", "cache hit")
    assert (row.usage, row.cache_reference_id) == (TokenUsage(prompt=0, completion=0), "other")


ASKED = '{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"Say hello."}]}'
SAID = 'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"Hello there."}}]}\n\n'


def untold(answer: str = SAID + "data: [DONE]\n\n", **more: object) -> ResponseCompleted:
    return completed(answer, request=Body(text=ASKED, size=len(ASKED), content_type="application/json"), **more)


def test_what_no_provider_reported_is_counted_here_and_says_so() -> None:
    row = row_of(untold())
    assert row.usage is not None
    # "Say", " hello", "." and "user", 3 for the message, 3 for the answer that is begun; "Hello", " there", "."
    assert (row.usage.prompt, row.usage.completion, row.usage.source) == (10, 3, UsageSource.ESTIMATED)
    assert str(row.usage.method).startswith("counted by o200k_base; ")
    assert (row.cost_usd, row.price_basis) == ("0.000055", PriceBasis.LIST)  # 10 at 2.5, 3 at 10


def test_an_estimate_of_what_broke_off_says_so() -> None:
    row = row_of(untold(SAID, outcome=Outcome.INTERRUPTED_BY_CLIENT))
    assert row.usage is not None
    assert (row.usage.prompt, row.usage.completion) == (10, 3)
    assert str(row.usage.method).endswith("of an answer that broke off, as far as it came")


def test_nothing_is_estimated_where_the_provider_said_anything() -> None:
    told = SAID + 'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2}}\n\n'
    assert row_of(untold(told)).usage == TokenUsage(prompt=7, completion=2)
    refused = row_of(untold(told.replace("7", "-7")))
    assert (refused.usage, refused.price_source) == (None, "unpriced: usage refused, prompt_tokens is negative")
    assert row_of(untold(ANSWER)).usage == TokenUsage(prompt=1000, completion=100)


def test_what_cannot_be_counted_says_why() -> None:
    row = row_of(untold(facts=call(model="o3")))
    assert (row.usage, row.cost_usd) == (None, None)
    assert row.price_source == "unpriced: no usage reported, and not estimated: the model's reasoning is hidden, and billed"
    assert row_of(completed(SAID)).price_source == "unpriced: no usage reported"


def test_a_hit_of_our_own_cache_is_not_counted_again() -> None:
    row = row_of(untold(cache_hit=True, cache_reference_id="other"))
    assert (row.cost_usd, row.cost_saved_usd, row.usage) == ("0", None, TokenUsage(prompt=0, completion=0))


def test_a_broken_answer_is_a_row_and_poison() -> None:
    understood = understand(batch(completed(), completed("{"), completed(ANSWER.replace("1100", "7"))), RATES)
    assert [row.cost_usd for row in understood.calls.events] == ["0.0035", None, None]
    assert [(poison.position, poison.reason) for poison in understood.poison] == [(1, "body_unreadable"), (2, "usage_refused")]
    assert understood.poison[1] == Poison(2, "usage_refused", "total_tokens contradict their parts")


@pytest.mark.parametrize("outcome", [Outcome.INTERRUPTED_BY_CLIENT, Outcome.PROVIDER_ERROR, Outcome.TIMED_OUT])
def test_a_cut_answer_is_no_poison(outcome: Outcome) -> None:
    assert understand(batch(completed(ANSWER[:50], outcome=outcome)), RATES).poison == ()


def test_a_fault_in_a_dialect_costs_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_answer: object) -> None:
        raise ZeroDivisionError("a secret")

    faulty = msgspec.structs.replace(dialect_for(call(), Body()), of_json=broken)
    monkeypatch.setattr(calls, "dialect_for", lambda _call, _body: faulty)
    understood = understand(batch(completed(), completed()), RATES)
    assert isinstance(faulty, Dialect)
    assert [row.cost_usd for row in understood.calls.events] == [None, None]
    assert [(poison.reason, poison.error) for poison in understood.poison] == [("dialect_failed", "openai.chat: ZeroDivisionError")] * 2


def test_what_a_provider_says_went_wrong() -> None:
    text = json.dumps({"error": {"code": "bad", "message": "no such thing"}})
    assert row_of(completed(text, outcome=Outcome.PROVIDER_ERROR, status=400)).error == "bad: no such thing"
    assert row_of(completed(text, outcome=Outcome.PROVIDER_ERROR, status=400, error="ours")).error == "ours"
    omitted = Body(text=text, omitted=True)
    assert row_of(completed(body=omitted, outcome=Outcome.PROVIDER_ERROR, status=400)).error == "bad"


def test_usage_is_read_from_a_body_that_is_not_to_be_kept() -> None:
    row = row_of(completed(body=Body(text=ANSWER, omitted=True)))
    assert row.cost_usd == "0.0035"


def test_a_body_that_could_not_be_decoded() -> None:
    understood = understand(batch(completed(body=Body(base64="AAAA", undecodable="zstd: broken"))), RATES)
    (row,) = understood.calls.events
    assert row.price_source == "unpriced: answer unreadable, content encoding: zstd: broken"
    assert understood.poison[0].reason == "body_unreadable"


def test_a_body_with_a_few_bad_bytes_is_read() -> None:
    data = ANSWER.encode().replace(b'"Hi"', b'"H\xff"')
    encoded = msgspec.json.decode(msgspec.json.encode(data), type=str)
    assert row_of(completed(body=Body(base64=encoded))).cost_usd == "0.0035"


def test_no_body_no_usage_no_poison() -> None:
    understood = understand(batch(completed(None, body=Body())), RATES)
    assert understood.calls.events[0].price_source == "unpriced: no usage reported"
    assert understood.poison == ()


def test_the_price_is_that_of_the_calls_time() -> None:
    before, after = AT.replace(year=2025, month=6, day=9), AT.replace(year=2025, month=6, day=10)
    answer = ANSWER.replace("gpt-4o-2024-08-06", "o3")
    costs = [row_of(completed(answer, facts=call(created_at=at))).cost_usd for at in (before, after)]
    assert costs == ["0.014", "0.0028"]


def test_understanding_is_repeatable() -> None:
    one = batch(completed(), completed("{"), completed(cache_hit=True))
    assert understand(one, RATES) == understand(one, RateBook.bundled())


def test_a_fault_in_assembling_costs_that_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_events: object) -> None:
        raise ZeroDivisionError

    faulty = msgspec.structs.replace(dialect_for(call(), Body()), message_of=broken)
    monkeypatch.setattr("processors.assembled.dialect_for", lambda _call, _body: faulty)
    assert assemble(completed('data: {"model":"m"}\n\n')) is None


def test_a_message_is_assembled_by_its_calls_dialect() -> None:
    stream = Body(text='data: {"model":"m","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n')
    assert json.loads(assembled(call(), stream) or "")["choices"][0]["message"]["content"] == "Hi"
    assert assembled(call(path="/v1/files"), stream) is None
    assert assembled(call(), Body(text=ANSWER)) is None


def test_a_large_body_is_cheap() -> None:
    """Generous by far: it guards against copying and building what is only to be skipped."""
    answer = ANSWER.replace('"Hi"', '"' + "x" * 5_000_000 + '"')
    event = completed(answer)
    started = time.process_time()
    assert row_of(event).cost_usd == "0.0035"
    assert time.process_time() - started < 0.1


BEGUN = '{"type":"message_start","message":{"model":"claude-sonnet-4-5","usage":{"input_tokens":100,"output_tokens":1}}}'
OPENED = f"event: message_start\ndata: {BEGUN}\n\n"
FAILED = 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
ENDED = 'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}\n\n'


@pytest.mark.parametrize(("answer", "outcome", "marked"), [
    (OPENED, Outcome.INTERRUPTED_BY_CLIENT, True),
    (OPENED, Outcome.INTERRUPTED_BY_PROVIDER, True),
    (OPENED + FAILED, Outcome.COMPLETED, True),
    (OPENED + ENDED, Outcome.COMPLETED, False),
    (OPENED + ENDED, Outcome.INTERRUPTED_BY_CLIENT, False),
])  # fmt: skip
def test_what_was_counted_before_the_answer_broke_off_says_so(answer: str, outcome: Outcome, marked: bool) -> None:
    row = row_of(completed(answer, facts=call("anthropic", "/v1/messages", model="claude-sonnet-4-5"), outcome=outcome))
    assert row.usage is not None
    assert (row.usage.prompt, row.usage.source) == (100, UsageSource.PROVIDER)
    assert (row.usage.method == calls.BROKE_OFF) is marked
