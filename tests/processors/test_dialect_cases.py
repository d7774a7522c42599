"""Every folder under `tests/cases/dialects` is a test: an answer, what it says, and what it costs, worked out by hand."""

import json
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from eventlog.events import Body, Outcome
from processors.assembled import assemble
from processors.calls import understand
from processors.dialects import DIALECTS, dialect_for
from processors.dialects.dialect import path_of
from processors.dialects.reading import Reading
from processors.pricing.invoice import booked, invoice_of, usage_of_tokens
from processors.pricing.rates import RateBook
from processors.usage import Usage
from tests.processors.events import batch, call, completed
from tests.processors.frames import stream_of

CASES = Path(__file__).parents[1] / "cases" / "dialects"
FOLDERS = {str(path.parent.relative_to(CASES)): path.parent for path in sorted(CASES.glob("*/*/expected.json"))}
RATES = RateBook.bundled()


def _data_of(file: Path, expected: dict[str, Any]) -> bytes:
    """A binary stream is written as the JSON of its frames; `cut` bytes are missing at its end, the one at `flipped` is wrong."""
    if file.suffix != ".frames":
        return file.read_bytes()
    data = bytearray(stream_of(file.read_text()))
    if "flipped" in expected:
        data[expected["flipped"]] ^= 0x55
    return bytes(data[: len(data) - expected.get("cut", 0)])


class Case:
    def __init__(self, folder: Path) -> None:
        self.expected: dict[str, Any] = json.loads((folder / "expected.json").read_text())
        self.dialect = folder.parent.name
        self.data = _data_of(next(folder.glob("response.*")), self.expected)
        about = self.expected["call"]
        self.facts = call(about["provider"], about["path"], model=about["model"], method=about.get("method", "POST"))
        self.event = completed(
            facts=self.facts,
            body=self.body(),
            outcome=Outcome(about["outcome"]),
            status=about["status"],
            cache_hit=about.get("cache_hit", False),
        )

    def body(self) -> Body:
        content_type, kept = self.expected["call"]["content_type"], self.expected.get("kept")
        if self.data[:1] == b"\x00" or content_type.startswith("audio/"):
            head = b64encode(self.data if kept is None else self.data[: kept["head"]]).decode()
            return Body(base64=head, size=len(self.data), content_type=content_type, truncated=kept is not None)
        if kept is None:
            return Body(text=self.data.decode(), size=len(self.data), content_type=content_type)
        head, tail = self.data[: kept["head"]].decode("utf-8", "ignore"), self.data[-kept["tail"] :].decode("utf-8", "ignore")
        return Body(text=head, tail=tail, size=len(self.data), content_type=content_type, truncated=True)

    def read(self) -> Reading:
        dialect = dialect_for(self.facts, self.event.response)
        assert dialect is not None
        assert dialect.name == self.dialect
        return dialect.read(self.event.response)


def usage_of(expected: dict[str, Any]) -> Usage:
    length = expected.get("audio_seconds")
    return Usage(**(expected | {"audio_seconds": None if length is None else Decimal(length)}))


@pytest.fixture(params=FOLDERS)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(FOLDERS[request.param])


def test_reading(case: Case) -> None:
    reading, expected = case.read(), case.expected["reading"]
    usage = usage_of(expected["usage"]) if "usage" in expected else None
    assert reading.usage == usage
    assert reading.model == expected.get("model")
    assert reading.finish_reason == expected.get("finish_reason")
    assert (None if reading.problem is None else str(reading.problem)) == expected.get("problem")
    assert reading.refused == expected.get("refused")
    assert dict(reading.context) == expected.get("context", {})
    assert (reading.unreadable or "").startswith(expected.get("unreadable", "")), reading.unreadable
    assert (reading.unreadable is None) == ("unreadable" not in expected)


def test_cost(case: Case) -> None:
    (row,) = understand(batch(case.event), RATES).calls.events
    assert row.cost_usd == case.expected["cost_usd"], row.price_source
    if "invoice" in case.expected:
        assert sum(amount_of(line) for line in case.expected["invoice"]) == Decimal(case.expected["cost_usd"])
        assert str(row.price_source).startswith("genai-prices ")
    if "free" in case.expected:
        assert (row.cost_usd, row.price_source) == ("0", f"free: {case.expected['free']}")
    if "asked" in case.expected:
        assert row.model == case.expected["asked"]
    if "price_source" in case.expected:
        assert row.price_source == case.expected["price_source"]
    if "unpriced" in case.expected:
        assert str(row.price_source).startswith("unpriced: ")
        assert case.expected["unpriced"] in str(row.price_source)
    assert row.cost_saved_usd == case.expected.get("cost_saved_usd")


def amount_of(line: dict[str, Any]) -> Decimal:
    """USD of one line of an invoice; sound is billed by the hour."""
    if "usd_per_hour" in line:
        return Decimal(line["seconds"]) * Decimal(line["usd_per_hour"]) / 3600
    return Decimal(line["count"]) * Decimal(line["usd_per_million"]) / 1_000_000


def test_tokens_are_conserved(case: Case) -> None:
    (row,) = understand(batch(case.event), RATES).calls.events
    usage = case.expected["reading"].get("usage")
    if row.cache_hit:
        usage = {"input": 0, "output": 0}
    if usage is None:
        assert row.usage is None
        return
    assert row.usage is not None
    by_length = "audio_seconds" in usage and not usage["input"] + usage["output"]
    assert (row.usage.prompt, row.usage.completion) == ((None, None) if by_length else (usage["input"], usage["output"]))
    for name in set(Usage.__struct_fields__) - {"input", "output", "audio_seconds"}:
        assert getattr(row.usage, name) == usage.get(name), name
    assert Decimal(row.usage.audio_seconds or 0) == Decimal(usage.get("audio_seconds", 0))
    assert usage_of_tokens(row.usage) == usage_of(usage)


def test_the_invoice_adds_up(case: Case) -> None:
    """From nothing but the row, to the last digit."""
    (row,) = understand(batch(case.event), RATES).calls.events
    if row.cache_hit or row.cost_usd is None:
        return
    invoice = invoice_of(booked(row))
    assert invoice.total == Decimal(row.cost_usd)
    assert sum((line.amount for line in invoice.lines), Decimal(0)) == invoice.total
    expected = case.expected.get("invoice")
    if expected is not None:
        by_hand = _summed((line.get("count", line.get("seconds")), amount_of(line)) for line in expected)
        assert by_hand == _summed((line.count, line.amount) for line in invoice.lines)


def _summed(lines: Iterable[tuple[Any, Decimal]]) -> dict[Decimal, Decimal]:
    """Counts and amounts, by the rate; what comes to nothing is left out."""
    found: dict[Decimal, Decimal] = defaultdict(Decimal)
    for count, amount in lines:
        if amount:
            found[amount / Decimal(count)] += amount
    return found


def test_assembled_message(case: Case) -> None:
    text, expected = assemble(case.event), case.expected.get("assembled")
    assert (None if text is None else json.loads(text)) == expected


def test_an_assembled_message_reads_like_its_stream(case: Case) -> None:
    text = assemble(case.event)
    dialect = dialect_for(case.facts, case.event.response)
    if text is None or dialect is None:
        return
    streamed, whole = case.read(), dialect.read(Body(text=text, content_type="application/json"))
    assert (whole.usage, whole.model, whole.finish_reason) == (streamed.usage, streamed.model, streamed.finish_reason)


def _reordered(value: Any) -> Any:
    match value:
        case dict():
            return {"x_unknown": {"usage": None}} | {key: _reordered(value[key]) for key in reversed(value)}
        case list():
            return [_reordered(inner) for inner in value]
        case _:
            return value


def test_one_dialect_alone_claims_a_call(case: Case) -> None:
    """But for batches of messages, which are created and listed at one path."""
    claiming = [dialect.name for dialect in DIALECTS if dialect.speaks(case.facts, path_of(case.facts))]
    assert claiming == [case.dialect, *(["anthropic.batch_results"] if case.dialect == "anthropic.batches" else [])]


def test_unknown_fields_and_the_order_of_keys_change_nothing(case: Case) -> None:
    if case.event.response.truncated or case.expected["call"]["content_type"] != "application/json" or case.data[:1] != b"{":
        return
    try:
        value = json.loads(case.data)
    except ValueError:
        return
    dialect = dialect_for(case.facts, case.event.response)
    assert dialect is not None
    changed = dialect.read(Body(text=json.dumps(_reordered(value))))
    assert msgspec.to_builtins(changed) == msgspec.to_builtins(case.read())


def test_every_dialect_has_cases_and_every_case_a_source() -> None:
    assert {folder.parent.name for folder in FOLDERS.values()} == {dialect.name for dialect in DIALECTS}
    assert all((folder / "source.txt").read_text().startswith("Written by hand after https://") for folder in FOLDERS.values())


KNOWN_BUGS = {
    "a stream without include_usage": "openai.chat/stream-without-usage",
    "cache tokens beside the input": "anthropic.messages/cache-read-and-write-add-up",
    "cache tokens in the input": "openai.chat/cached-prompt",
    "one-hour cache writes": "anthropic.messages/one-hour-cache-write",
    "the tier of long contexts": "anthropic.messages/long-context-tier",
    "thoughts that are no part of the completion": "openai.chat/gemini-thoughts-outside-the-completion",
    "reasoning inside the completion": "openai.chat/reasoning-inside-completion",
    "audio tokens": "openai.chat/audio-tokens",
    "usage: null": "openai.chat/usage-null",
    "usage as strings and floats": "openai.chat/usage-as-text-and-floats",
    "two usage events": "openai.chat/stream-two-usage-events",
    "a refusal": "openai.chat/refusal",
    "cut by max_tokens": "openai.chat/cut-by-max-tokens",
    "tools and no text": "openai.chat/tool-calls-only",
    "an error body with 200": "openai.chat/error-body-with-200",
    "a router's price that is not the list's": "openai.chat/openrouter-states-its-cost",
    "a dated model": "openai.chat/dated-model-suffix",
    "a fine-tuned model": "openai.chat/fine-tuned-model",
    "a batch at half price": "anthropic.messages/batch-at-half-price",
    "a hit of our own cache costs 0": "openai.chat/hit-of-our-own-cache-costs-0",
}


@pytest.mark.parametrize("name", KNOWN_BUGS.values(), ids=KNOWN_BUGS)
def test_what_others_get_wrong_has_a_case(name: str) -> None:
    assert name in FOLDERS


def test_there_are_as_many_cases_as_were_promised() -> None:
    assert len(FOLDERS) >= 600
