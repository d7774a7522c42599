import itertools
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import genai_prices
import pytest
from genai_prices import types as listed
from genai_prices.data import providers
from hypothesis import given
from hypothesis import strategies as st

from processors.pricing.cards import KEYS, counts_of
from processors.pricing.rates import MEMO_LIMIT, NEVER_UNIFORM, RateBook
from processors.usage import LIMIT, Usage, UsageRefused, count, seconds

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
TIMES = [AT, datetime(2024, 3, 1, 2, tzinfo=UTC), datetime(2026, 10, 13, 9, 59, 59, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)]
RATES = RateBook.bundled()

USAGES = {
    "plain": Usage(input=1_000, output=100),
    "nothing": Usage(input=0, output=0),
    "all of it from the cache": Usage(input=1_000, output=1, cache_read=1_000),
    "read and written": Usage(input=10_000, output=500, cache_read=7_000, cache_write=2_000, cache_write_5m=1_500, cache_write_1h=500),
    "written, nobody says how long for": Usage(input=10_000, output=500, cache_write=2_000),
    "reasoning": Usage(input=10, output=5_000, reasoning=4_000),
    "just below a step": Usage(input=200_000, output=1_000, cache_read=5),
    "just above a step": Usage(input=200_001, output=1_000, cache_read=150_000, cache_write=10),
    "far above every step": Usage(input=3_000_000, output=1_000),
    "audio": Usage(input=500, output=200, audio_input=400, audio_output=150),
    "audio and cache": Usage(input=500, output=200, audio_input=400, cache_read=300),
    "audio, some of it from the cache": Usage(input=500, output=200, audio_input=400, cache_read=300, audio_cache_read=250),
    "an image drawn": Usage(input=500, output=1_400, image_output=1_290),
    "a video made": Usage(input=500, output=9_000, image_output=0, video_output=8_900),
    "images and video looked at": Usage(input=900, output=20, image_input=500, video_input=300),
    "images": Usage(input=500, output=4_200, image_input=320, image_output=4_160),
    "seconds of sound": Usage(input=0, output=0, audio_seconds=Decimal("61.5")),
    "searches": Usage(input=500, output=200, web_searches=3),
    "searches in files": Usage(input=500, output=200, file_searches=3),
}
CONTEXTS = [(), (("service_tier", "flex"),), (("service_tier", "priority"),), (("processing", "batch"),), (("speed", "fast"),)]


OUR_REASONS = (
    "is not priced by tokens",
    "is not priced by the second",
    "has no rate for audio",
    "does not report output_image_tokens",
    "does not report output_video_tokens",
    "has no listed price for",
    "has no rate for searches",
    "has no rate for cached tokens",
)
"""Where the price list gives a figure that may be wrong, and we give none."""


def theirs(usage: Usage) -> genai_prices.Usage:
    given = dict(zip(KEYS, counts_of(usage), strict=True))
    return genai_prices.Usage(**{key: value for key, value in given.items() if value or key in {"input_tokens", "output_tokens"}})


def listed_cost(
    provider: listed.Provider, model: listed.ModelInfo, usage: genai_prices.Usage, at: datetime, context: tuple[tuple[str, str], ...]
) -> Decimal | None:
    try:
        return model.calc_price(usage, provider, genai_request_timestamp=at, price_context=dict(context)).total_price
    except ValueError:
        return None


def named(match: object) -> Iterator[str]:
    """Names that the rule for finding a model speaks of."""
    for inner in getattr(match, "or_", []) or getattr(match, "and_", []):
        yield from named(inner)
    for kind in ("equals", "starts_with", "ends_with", "contains"):
        if hasattr(match, kind):
            yield getattr(match, kind)


def reference(provider: listed.Provider, model: listed.ModelInfo) -> str | None:
    names = (model.id, *named(model.match))
    return next((name for name in names if provider.find_model(name, all_providers=providers) is model), None)


MODELS = [(provider, model, name) for provider in providers for model in provider.models if (name := reference(provider, model))]


def test_nearly_every_listed_model_is_compared() -> None:
    assert len(MODELS) > 0.98 * sum(len(provider.models) for provider in providers)


RARE = {name for name, usage in USAGES.items() if usage.audio_seconds is not None or usage.web_searches or usage.file_searches}


@pytest.mark.filterwarnings("ignore")  # the price list warns of what it does not know
def test_the_same_as_the_price_list_itself() -> None:
    """Every model it knows, with every usage, at several times and in several contexts where they matter."""
    compared: Counter[str] = Counter()
    said_to_them = {name: theirs(usage) for name, usage in USAGES.items()}
    for provider, model, name in MODELS:
        times = TIMES if isinstance(model.prices, list) or model.price_variants else TIMES[:1]
        contexts = CONTEXTS if model.price_variants else CONTEXTS[:1]
        for at, context, (kind, usage) in itertools.product(times, contexts, USAGES.items()):
            ours = RATES.price(usage, provider=provider.id, model=name, at=at, context=context)
            if any(reason in ours.source for reason in OUR_REASONS):
                continue
            cost = listed_cost(provider, model, said_to_them[kind], at, context)
            assert ours.cost == cost, (kind, provider.id, name, at, context, ours.source)
            compared[kind] += 1
    assert all(compared[kind] > (20 if kind in RARE else 2_000) for kind in USAGES), compared


COSTS = {
    "plain": ("openai", "gpt-4o-2024-08-06", Usage(input=1_000, output=100), "0.0035"),
    "cached": ("openai", "gpt-4o", Usage(input=1_000, output=0, cache_read=1_000), "0.00125"),
    "one token": ("openai", "gpt-4o-mini", Usage(input=1, output=0), "0.00000015"),
    "an hour in the cache": (
        "anthropic",
        "claude-sonnet-4-5",
        Usage(input=1_000, output=0, cache_write=1_000, cache_write_1h=1_000),
        "0.006",
    ),
    "a long prompt": ("anthropic", "claude-sonnet-4-5", Usage(input=200_001, output=10), "1.200231"),
    "by another name": ("x", "grok-4", Usage(input=1_000_000, output=0), "3"),
    "what a router gives away": ("openrouter", "deepseek/deepseek-r1:free", Usage(input=1_000, output=9), "0"),
    "on Vertex, in OpenAI's shape": ("vertex", "google/gemini-2.5-flash", Usage(input=1_000_000, output=0), "0.3"),
    "images read and made": (
        "openai",
        "gpt-image-1.5",
        Usage(input=1_000, output=4_200, image_input=900, image_output=4_160),
        "0.14122",
    ),
    "an hour of sound": ("openai", "whisper-1", Usage(input=0, output=0, audio_seconds=Decimal(3_600)), "0.36"),
    "not quite eleven seconds": ("groq", "whisper-large-v3", Usage(input=0, output=0, audio_seconds=Decimal("10.8")), "0.000333"),
    "bedrock": ("bedrock", "anthropic.claude-3-haiku-20240307-v1:0", Usage(input=1_000_000, output=0), "0.25"),
}


@pytest.mark.parametrize(("provider", "model", "usage", "usd"), COSTS.values(), ids=COSTS)
def test_cost(provider: str, model: str, usage: Usage, usd: str) -> None:
    assert RATES.price(usage, provider=provider, model=model, at=AT).cost == Decimal(usd)


def test_what_is_billed_otherwise_is_not_free() -> None:
    by_length, tokens = Usage(input=0, output=0, audio_seconds=Decimal(9)), Usage(input=14, output=101)
    by_tokens = RATES.price(by_length, provider="openai", model="gpt-4o-transcribe", at=AT)
    assert (by_tokens.cost, by_tokens.source) == (None, "unpriced: openai/gpt-4o-transcribe is not priced by the second")
    by_seconds = RATES.price(tokens, provider="openai", model="whisper-1", at=AT)
    assert (by_seconds.cost, by_seconds.source) == (None, "unpriced: openai/whisper-1 is not priced by tokens")


@given(st.integers(0, LIMIT), st.integers(0, LIMIT), st.floats(0, 1))
def test_costs_are_exact_at_any_size(prompt: int, completion: int, cached: float) -> None:
    read = int(prompt * cached)
    price = RATES.price(Usage(input=prompt, output=completion, cache_read=read), provider="openai", model="gpt-4o", at=AT)
    assert price.cost is not None
    assert price.cost * 1_000_000 == (prompt - read) * Decimal("2.5") + read * Decimal("1.25") + completion * 10


def test_a_price_names_its_package_and_itself() -> None:
    usage = Usage(input=1, output=1)
    version = genai_prices.__version__
    assert RATES.price(usage, provider="openai", model="gpt-4o", at=AT).source == f"genai-prices {version}: openai/gpt-4o"
    assert RATES.price(usage, provider="openai", model="o3", at=AT).source == f"genai-prices {version}: openai/o3, since 2025-06-10"
    long = RATES.price(Usage(input=300_000, output=1), provider="anthropic", model="claude-sonnet-4-5", at=AT)
    assert long.source == f"genai-prices {version}: anthropic/claude-sonnet-4-5, prompts over 200000"
    flex = RATES.price(usage, provider="openai", model="gpt-5", at=AT, context=(("service_tier", "flex"),))
    assert flex.source == f"genai-prices {version}: openai/gpt-5, service_tier flex"


UNPRICED = {
    "an unknown model": ("openai", "gpt-99", "", "does not know the model gpt-99 of openai"),
    "an unknown host": ("llm.example.com", "gpt-4o", "https://llm.example.com/v1", "does not know the provider llm.example.com"),
    "a host that resembles a provider": ("openai.example.com", "gpt-4o", "https://openai.example.com/v1", "does not know the provider"),
    "a very long name": ("openai", "gpt-4o" * 2_000, "", "no model has so long a name"),
    "an empty name": ("openai", "", "", "does not know the model"),
}


@pytest.mark.parametrize(("provider", "model", "url", "reason"), UNPRICED.values(), ids=UNPRICED)
def test_unpriced(provider: str, model: str, url: str, reason: str) -> None:
    price = RATES.price(Usage(input=1, output=1), provider=provider, model=model, at=AT, target_url=url)
    assert price.cost is None
    assert price.source.startswith("unpriced: ")
    assert reason in price.source


def test_a_host_is_known_by_its_address() -> None:
    url = "https://acme.openai.azure.com/openai/deployments/x?api-version=1"
    price = RATES.price(Usage(input=1_000_000, output=0), provider="acme.openai.azure.com", model="gpt-4o", at=AT, target_url=url)
    assert price.cost == Decimal("2.5")


def test_audio_without_a_rate_of_its_own_is_not_billed_as_text() -> None:
    usage = Usage(input=10, output=10, audio_output=5)
    assert {"openai", "azure"} == NEVER_UNIFORM
    assert RATES.price(usage, provider="openai", model="gpt-4o-audio-preview", at=AT).cost is None
    assert RATES.price(usage, provider="google", model="gemini-2.5-pro", at=AT).cost is not None


TIERS = {
    "listed": ("google", "gemini-3.8-flash-tts", "flex", Decimal("0.25")),
    "not listed, and billed otherwise": ("google", "gemini-2.5-flash", "flex", None),
    "not listed, of a provider whose list is complete": ("openai", "gpt-4o-mini", "flex", Decimal("0.15")),
}


@pytest.mark.parametrize(("provider", "model", "tier", "usd"), TIERS.values(), ids=TIERS)
def test_tiers(provider: str, model: str, tier: str, usd: Decimal | None) -> None:
    usage = Usage(input=1_000_000, output=0)
    price = RATES.price(usage, provider=provider, model=model, at=AT, context=(("service_tier", tier),))
    assert price.cost == usd
    assert (usd is None) == (f"has no listed price for service_tier {tier}" in price.source)


def test_an_answer_of_unknown_kind_has_no_price_where_images_cost_more() -> None:
    def price(usage: Usage, model: str = "gemini-3-pro-image-preview") -> Decimal | None:
        return RATES.price(usage, provider="google", model=model, at=AT).cost

    assert price(Usage(input=0, output=1_000_000)) is None
    assert price(Usage(input=0, output=1_000_000, image_output=0)) == 12
    assert price(Usage(input=0, output=1_000_000, image_output=1_000_000)) == 120
    assert price(Usage(input=1_000_000, output=0)) == 2
    assert price(Usage(input=0, output=1_000_000), "gemini-2.5-pro") == 10


def test_cached_audio_has_a_price_only_where_it_is_told_from_cached_text() -> None:
    def price(cached_audio: int | None) -> Decimal | None:
        usage = Usage(input=2_000_000, output=0, cache_read=1_000_000, audio_input=1_000_000, audio_cache_read=cached_audio)
        return RATES.price(usage, provider="google", model="gemini-2.5-flash", at=AT).cost

    assert price(None) is None
    assert price(0) == Decimal("1.03")
    assert price(1_000_000) == Decimal("0.4")


def test_the_time_of_the_call_decides_in_any_zone() -> None:
    usage = Usage(input=1_000_000, output=0)
    peak, off_peak = datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2026, 1, 1, 20, tzinfo=UTC)
    costs = [RATES.price(usage, provider="deepseek", model="deepseek-chat", at=at).cost for at in (peak, off_peak, peak)]
    assert costs == [Decimal("0.27"), Decimal("0.135"), Decimal("0.27")]
    elsewhere = off_peak.astimezone(timezone(timedelta(hours=9)))
    assert RATES.price(usage, provider="deepseek", model="deepseek-chat", at=elsewhere).cost == Decimal("0.135")


def test_the_memo_does_not_grow_with_the_names_callers_think_of() -> None:
    rates = RateBook.bundled()
    for number in range(MEMO_LIMIT + 10):
        rates.price(Usage(input=1, output=1), provider="openai", model=f"gpt-4o-mini-{number}", at=AT)
    assert len(rates._listings) <= MEMO_LIMIT
    for number in range(MEMO_LIMIT + 10):
        rates.price(Usage(input=1, output=1), provider="openai", model="gpt-4o", at=AT - timedelta(days=number))
    assert len(rates._cards) <= MEMO_LIMIT


COUNTS = {
    "a number": (12, 12),
    "as text": ("12", 12),
    "as a float": (12.0, 12),
    "nothing": (None, None),
    "zero": (0, 0),
    "the most there is": (LIMIT, LIMIT),
}


@pytest.mark.parametrize(("value", "number"), COUNTS.values(), ids=COUNTS)
def test_count(value: object, number: int | None) -> None:
    assert count(value, "x") == number


@pytest.mark.parametrize("value", [-1, 12.5, LIMIT + 1, "-1", "12.5", "", "a", "٣", "9" * 5_000, 10**30, float("inf"), True, [], {}])
def test_no_count(value: object) -> None:
    with pytest.raises(UsageRefused, match=r"^prompt_tokens is "):
        count(value, "prompt_tokens")


def test_a_count_too_long_to_print() -> None:
    with pytest.raises(UsageRefused, match="above"):
        count(10**5_000, "prompt_tokens")


IMPOSSIBLE = {
    "cached beyond the prompt": {"input": 1, "output": 1, "cache_read": 1, "cache_write": 1},
    "reasoning beyond the answer": {"input": 1, "output": 1, "reasoning": 2},
    "audio beyond the prompt": {"input": 1, "output": 1, "audio_input": 2},
    "audio beyond the answer": {"input": 1, "output": 1, "audio_output": 2},
    "kinds beyond the prompt": {"input": 9, "output": 1, "audio_input": 5, "image_input": 3, "video_input": 2},
    "kinds beyond the answer": {"input": 9, "output": 9, "image_output": 5, "video_output": 5},
    "cached audio beyond the cached": {"input": 9, "output": 1, "cache_read": 1, "audio_input": 5, "audio_cache_read": 2},
    "cached audio beyond the audio": {"input": 9, "output": 1, "cache_read": 5, "audio_input": 1, "audio_cache_read": 2},
    "hours beyond the writes": {"input": 9, "output": 1, "cache_write": 1, "cache_write_1h": 2},
    "too much": {"input": LIMIT + 1, "output": 0},
}


@pytest.mark.parametrize("fields", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_impossible_usage(fields: dict[str, int]) -> None:
    with pytest.raises(UsageRefused):
        Usage(**fields)


@pytest.mark.parametrize(("value", "length"), [(9, "9"), (8.47, "8.47"), ("12.5", "12.5"), (0, "0"), (None, None)])
def test_seconds(value: object, length: str | None) -> None:
    assert seconds(value, "seconds") == (None if length is None else Decimal(length))


@pytest.mark.parametrize("value", [True, -1, "", "1e9", float("nan"), float("inf"), 10**10, [], "9 s", "٣", "1" * 41])
def test_no_seconds(value: object) -> None:
    with pytest.raises(UsageRefused):
        seconds(value, "seconds")


def test_images_are_a_part() -> None:
    with pytest.raises(UsageRefused, match="tokens by their kind exceed the prompt"):
        Usage(input=10, output=10, image_input=6, audio_input=5)
    with pytest.raises(UsageRefused, match="tokens by their kind exceed the answer"):
        Usage(input=10, output=10, image_output=11)


def test_a_surcharge_is_for_tokens_of_its_seller_alone() -> None:
    usage, us = Usage(input=1_000_000, output=0, web_searches=1), (("inference_geo", "us"),)
    ours = RATES.price(usage, provider="anthropic", model="claude-opus-4-6", at=AT, context=us)
    assert (ours.cost, ours.source.endswith("inference_geo us")) == (Decimal("5.51"), True)
    there = RATES.price(usage, provider="bedrock", model="anthropic.claude-opus-4-6-v1", at=AT, context=us)
    assert (there.cost, there.source) == (
        None,
        "unpriced: aws/regional.anthropic.claude-opus-4-6-v1:0 has no listed price for inference_geo us",
    )


def test_a_surcharge_is_for_long_prompts_too() -> None:
    before = datetime(2026, 3, 1, tzinfo=UTC)
    price = RATES.price(
        Usage(input=200_001, output=0), provider="anthropic", model="claude-opus-4-6", at=before, context=(("inference_geo", "us"),)
    )
    assert price.cost == 200_001 * Decimal("0.000011")
