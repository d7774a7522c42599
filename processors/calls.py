"""A completed call, understood: dialect, tokens, price. A pure map of batches: no clock, no log, no state.

Every `ResponseCompleted` becomes one `CallPriced`, whatever its body holds. What could not be understood is missing from the row, the
reason stands in its `price_source`, and a developer finds the event among the dead letters.

A provider's error without usage has neither tokens nor cost: providers do not say whether they bill such a call, so nobody knows.
An answer from our own cache has no tokens and cost 0, for the provider was not asked; what it would have cost is `cost_saved_usd`.
"""

from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from eventlog.codec import Batch
from eventlog.events import AFTERWARDS, Body, CallFacts, CallPriced, Job, Outcome, PriceBasis, ResponseCompleted, TokenUsage, UsageSource
from processors.dialects import dialect_for
from processors.dialects.dialect import Dialect
from processors.dialects.reading import Reading, word
from processors.estimates.estimate import NotEstimated, estimate
from processors.pricing.bill import STATES_ITS_PRICE, Bill, price_of
from processors.pricing.cards import plain
from processors.pricing.invoice import usage_of_tokens
from processors.pricing.locations import location_of
from processors.pricing.rates import RateBook
from processors.usage import UsageRefused

ANSWERED = frozenset(
    {Outcome.COMPLETED, Outcome.PROVIDER_ERROR, Outcome.INTERRUPTED_BY_PROVIDER, Outcome.INTERRUPTED_BY_CLIENT, Outcome.TIMED_OUT}
)
"""Outcomes whose body, if there is one, came from the provider."""

NOTHING = Reading()
NO_BODY = Body()
MONEY_LIMIT = 1_000_000
"""USD. No call costs as much."""
NO_TOKENS = TokenUsage(prompt=0, completion=0)


class Poison(Struct, frozen=True):
    """An event that was not understood: its place in the batch's events, a short reason to count by, and what was wrong."""

    position: int
    reason: str
    error: str


class Understood(Struct, frozen=True):
    """`calls` has one event for each of the batch it came from, and its id."""

    calls: Batch[CallPriced]
    poison: tuple[Poison, ...] = ()


class _Call(NamedTuple):
    priced: CallPriced
    reason: str | None = None
    error: str = ""


def understand(batch: Batch[ResponseCompleted], rates: RateBook) -> Understood:
    calls = [_understood(event, rates) for event in batch.events]
    poison = tuple(Poison(position, call.reason, call.error) for position, call in enumerate(calls) if call.reason is not None)
    return Understood(Batch(id=batch.id, partition=batch.partition, events=tuple([call.priced for call in calls])), poison)


def _understood(event: ResponseCompleted, rates: RateBook) -> _Call:
    dialect = dialect_for(event.call, event.response)
    if dialect is None and event.stated_usage is not None:
        return _Call(_row(event, None, _with_usage(NOTHING, event.stated_usage), rates))
    if dialect is None or event.outcome not in ANSWERED:
        return _Call(_row(event, dialect, NOTHING, rates))
    try:
        reading = dialect.read(event.response)
    except Exception as error:  # noqa: BLE001  a fault of ours in one dialect must cost neither this call's row nor the next calls
        return _Call(_row(event, dialect, NOTHING, rates), "dialect_failed", f"{dialect.name}: {type(error).__name__}")
    if reading.usage is None and reading.refused is None and event.stated_usage is not None:
        reading = _marked(event, _with_usage(reading, event.stated_usage))
    else:
        reading = _estimated(event, dialect, reading) if _may_be_estimated(event, reading) else _marked(event, reading)
    row = _row(event, dialect, reading, rates)
    if reading.refused is not None:
        return _Call(row, "usage_refused", reading.refused)
    if reading.unreadable is not None and event.outcome is Outcome.COMPLETED:
        return _Call(row, "body_unreadable", reading.unreadable)
    return _Call(row)


ABSURD = "what the provider says that it charged is no amount that can be true"
BROKE_OFF = "as last reported before the answer broke off: the rest of it is not counted"


def _marked(event: ResponseCompleted, reading: Reading) -> Reading:
    """What was counted of an answer that broke off is what had come when the provider last told it."""
    whole = reading.finish_reason is not None or (event.outcome is Outcome.COMPLETED and reading.problem is None)
    if whole or event.outcome is Outcome.PROVIDER_ERROR or reading.usage is None:
        return reading
    return replace(reading, broke_off=BROKE_OFF)


def _with_usage(reading: Reading, told: TokenUsage) -> Reading:
    """What the answer does not tell, its teller does."""
    try:
        return replace(reading, usage=usage_of_tokens(told))
    except UsageRefused as error:
        return replace(reading, refused=str(error))


def _may_be_estimated(event: ResponseCompleted, reading: Reading) -> bool:
    """The provider said nothing of what was used, and both bodies are here. A hit of our own cache was counted when it was made."""
    if reading.usage is not None or event.request == NO_BODY or event.cache_hit or (event.status or 0) >= 400:
        return False
    return all(said is None for said in (reading.refused, reading.free, reading.elsewhere, reading.unpriced, reading.stated_cost))


def _estimated(event: ResponseCompleted, dialect: Dialect, reading: Reading) -> Reading:
    model = event.call.model_override or dialect.model_of(event.call, reading)
    found = estimate(event.request, event.response, dialect=dialect, provider=event.call.provider, model=model)
    if isinstance(found, NotEstimated):
        return replace(reading, uncounted=found.reason)
    method = found.method if event.outcome is Outcome.COMPLETED else f"{found.method}; of an answer that broke off, as far as it came"
    return replace(reading, usage=found.usage, estimated=method)


def _row(event: ResponseCompleted, dialect: Dialect | None, reading: Reading, rates: RateBook) -> CallPriced:
    call = event.call
    model = word(call.model_override or (reading.model or call.model if dialect is None else dialect.model_of(call, reading)))
    bill = _bill(event, dialect, reading, model)
    price = price_of(bill, rates)
    hit, cost = event.cache_hit, None if price.cost is None else plain(price.cost)
    return CallPriced(
        call=call,
        completed_at=event.completed_at,
        outcome=event.outcome,
        status=event.status,
        latency_ms=event.latency_ms,
        ttft_ms=event.ttft_ms,
        dialect=None if dialect is None else dialect.name,
        model=model,
        response_model=reading.model,
        usage=NO_TOKENS if hit else _travelling(reading),
        cost_usd="0" if hit else cost,
        price_source="cache hit" if hit else price.source,
        price_basis=PriceBasis.CACHE if hit else price.basis,
        rates=price.rates,
        price_context=dict(bill.context),
        stated_cost_usd=None if bill.stated_cost is None else plain(bill.stated_cost),
        price_note=_note(bill),
        job=None if dialect is None else _job(dialect.job_of(call, reading), bill, rates),
        cost_saved_usd=cost if hit else None,
        finish_reason=reading.finish_reason,
        request_bytes=event.request_bytes,
        response_bytes=event.response.size,
        truncated=event.response.truncated or event.request_truncated,
        attempts=event.attempts,
        tries=event.tries,
        fallback_index=event.fallback_index,
        cache_hit=hit,
        cache_reference_id=event.cache_reference_id,
        redactions=event.redactions,
        error=event.error or _problem(event, reading),
    )


def _bill(event: ResponseCompleted, dialect: Dialect | None, reading: Reading, model: str | None) -> Bill:
    call, answered = event.call, event.outcome in ANSWERED
    return Bill(
        organization=call.organization,
        provider=call.provider,
        model=model,
        at=call.created_at,
        target_url=call.target_url,
        usage=reading.usage,
        missing="" if reading.usage is not None else _why_no_usage(event, dialect, reading),
        refused=reading.refused is not None,
        answered=answered,
        known=answered and dialect is not None,
        completed=event.outcome is Outcome.COMPLETED,
        context=reading.context + location_of(call.path, model),
        call_rates=call.cost_override,
        stated_cost=_stated(event, reading),
        logged=call.source in AFTERWARDS,
        free=reading.free,
        elsewhere=reading.elsewhere,
        beside=reading.unpriced
        or _search_beside(call)
        or (ABSURD if reading.stated_absurd and call.provider in STATES_ITS_PRICE else None),
    )


def _search_beside(call: CallFacts) -> str | None:
    """OpenRouter's `:online` bills a web search, whose price is in no list; its answer names the model without the suffix."""
    online = call.provider in {"openrouter", "openrouter.ai"} and (call.model or "").endswith(":online")
    return "the web search of :online is billed beside the tokens" if online else None


def _why_no_usage(event: ResponseCompleted, dialect: Dialect | None, reading: Reading) -> str:
    if reading.refused is not None:
        return f"usage refused, {reading.refused}"
    if dialect is None:
        return _why_no_dialect(event)
    if reading.unreadable is not None:
        return f"answer unreadable, {reading.unreadable}"
    missing = "no usage reported" if event.outcome is Outcome.COMPLETED else f"no usage reported, {event.outcome}"
    return missing if reading.uncounted is None else f"{missing}, and not estimated: {reading.uncounted}"


def _why_no_dialect(event: ResponseCompleted) -> str:
    if event.call.step is not None:
        return f"no model was asked, it is a step of the kind {event.call.step}"
    if event.call.source in AFTERWARDS and event.response.size:
        return "the logged answer is in no shape that we know"
    return "no model call that we know of"


def _stated(event: ResponseCompleted, reading: Reading) -> Decimal | None:
    """By whoever told of the call, if it was told of. What an answer states otherwise is kept where we know that it is in USD."""
    if event.call.source not in AFTERWARDS:
        return reading.stated_cost
    if event.stated_cost_usd is not None:
        return amount_of(event.stated_cost_usd)
    return reading.stated_cost if event.call.provider in STATES_ITS_PRICE else None


def amount_of(text: str) -> Decimal | None:
    """An event may come from elsewhere."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount < MONEY_LIMIT else None


def _problem(event: ResponseCompleted, reading: Reading) -> str | None:
    """The provider's words, unless the caller asked that the answer be not kept: they may repeat it."""
    if reading.problem is None:
        return None
    return reading.problem.code if event.response.omitted else str(reading.problem)


def _job(id: str | None, bill: Bill, rates: RateBook) -> Job | None:  # noqa: A002 the field's name
    """Of work that is billed with another call, what that one will cost, where its tokens are known by now."""
    if id is None:
        return None
    if bill.elsewhere is None or bill.usage is None:
        return Job(id=id)
    price = price_of(replace(bill, elsewhere=None), rates)
    cost = None if price.cost is None else plain(price.cost)
    return Job(id=id, cost_usd=cost, price_source=price.source, price_basis=price.basis, rates=price.rates)


def _note(bill: Bill) -> str | None:
    """What the call and its answer say against any list's price."""
    return bill.free or bill.elsewhere or bill.beside or (bill.missing if bill.refused else None)


def _travelling(reading: Reading) -> TokenUsage | None:
    usage = reading.usage
    if usage is None:
        return None
    by_length = usage.audio_seconds is not None and not usage.input + usage.output
    return TokenUsage(
        prompt=None if by_length else usage.input,
        completion=None if by_length else usage.output,
        cache_read=usage.cache_read,
        cache_write=usage.cache_write,
        reasoning=usage.reasoning,
        audio_input=usage.audio_input,
        audio_output=usage.audio_output,
        cache_write_5m=usage.cache_write_5m,
        cache_write_1h=usage.cache_write_1h,
        audio_cache_read=usage.audio_cache_read,
        image_input=usage.image_input,
        image_output=usage.image_output,
        video_input=usage.video_input,
        video_output=usage.video_output,
        citations=usage.citations,
        audio_seconds=None if usage.audio_seconds is None else plain(usage.audio_seconds),
        web_searches=usage.web_searches,
        file_searches=usage.file_searches,
        source=UsageSource.PROVIDER if reading.estimated is None else UsageSource.ESTIMATED,
        method=reading.estimated or reading.broke_off,
    )
