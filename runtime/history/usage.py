"""The tokens of made-up calls, as each provider reports them, and what they cost. Whole columns at once."""

import numpy as np
import pyarrow as pa
from msgspec import Struct

from eventlog.events import PriceBasis, UsageSource
from processors.calls import BROKE_OFF
from runtime.history.answers import IS_ANTHROPIC, IS_CHAT, IS_GEMINI, IS_RESPONSES
from runtime.history.arrow import Flags, Ints, maps, masked, money, words
from runtime.history.calls import Calls
from runtime.history.cast import MODELS, OWN_HOST, RESPONSES
from runtime.history.durations import BROKEN_OFF
from runtime.history.outcomes import COMPLETED, ENDINGS
from runtime.history.tariffs import Counts, Tariff

ESTIMATED = (
    "counted by o200k_base; 3 a message, 1 a name and 3 for the answer's beginning, as OpenAI's cookbook has it; "
    "of an answer that broke off, as far as it came"
)
IS_OWN: Flags = np.array([model.provider == OWN_HOST for model in MODELS])
APPROXIMATED = (
    "approximation by o200k_base of the texts alone, without a claim: the model's own encoding is another; "
    "of an answer that broke off, as far as it came"
)
HIDES: Flags = np.array([model.name.startswith("gpt-5") or model.dialect == RESPONSES for model in MODELS])
"""Models whose thoughts are hidden, and billed: what broke off of them is not estimated."""
METHODS = (BROKE_OFF, ESTIMATED, APPROXIMATED)
NO_USAGE = tuple(f"unpriced: no usage reported, {ending.outcome}" for ending in ENDINGS)
HIDDEN = ", and not estimated: the model's reasoning is hidden, and billed"


class Counted(Struct):
    """What is known of each call's tokens. `known`: somebody counted, or the cache answered."""

    known: Flags
    method: Ints
    """Of `METHODS`; below 0 where the provider counted all."""
    tokens: Counts
    """Of the call itself, or of the one that the cache repeats."""


def counted(calls: Calls, rng: np.random.Generator) -> Counted:
    """What broke off, Anthropic counted the prompt of, Gemini as far as it came, and of others it was estimated here."""
    ending, said, model = calls.ends.ending, calls.talk, calls.model
    broken = BROKEN_OFF[ending]
    done = ending == COMPLETED
    told_early = IS_ANTHROPIC[model] | IS_GEMINI[model]
    estimated = broken & IS_CHAT[model] & ~HIDES[model]
    part = np.maximum((said.completion * rng.uniform(0.05, 0.8, len(model))).astype(np.int64), 1)
    completion = np.where(broken, np.where(IS_ANTHROPIC[model], np.minimum(said.completion, 3), part), said.completion)
    reasoning = np.minimum(said.reasoning, completion)
    nothing = completion * 0
    tokens = {
        "input": said.prompt,
        "output": completion,
        "reasoning": reasoning,
        "cache_read": np.where(estimated, nothing, said.cache_read),
        "cache_write": said.cache_write,
        "cache_write_5m": said.cache_write,
    }
    method = np.where(broken & told_early, 0, np.where(estimated, 1 + IS_OWN[model], -1))
    return Counted(done | (broken & told_early) | estimated, method, tokens)


def usage_columns(calls: Calls, found: Counted) -> dict[str, pa.Array]:
    """A provider that does not report a part leaves it NULL. What the cache answers has none: the provider was not asked."""
    model, hit = calls.model, calls.hit
    chat = IS_CHAT[model] & ~IS_OWN[model]
    by_provider = found.known & ~hit & (found.method < 1)
    counts = {name: np.where(hit, 0, amount) for name, amount in found.tokens.items()}
    read = by_provider & (chat | IS_RESPONSES[model] | IS_ANTHROPIC[model] | (IS_GEMINI[model] & (counts["cache_read"] > 0)))
    thought = by_provider & (chat | IS_RESPONSES[model] | (IS_GEMINI[model] & (counts["reasoning"] > 0)))
    write = by_provider & IS_ANTHROPIC[model]
    sounds, seen = by_provider & (chat | IS_GEMINI[model]), by_provider & IS_GEMINI[model]
    zero = model * 0
    return {
        "prompt_tokens": masked(counts["input"], found.known),
        "completion_tokens": masked(counts["output"], found.known),
        "total_tokens": masked(counts["input"] + counts["output"], found.known),
        "cache_read_tokens": masked(counts["cache_read"], read),
        "cache_write_tokens": masked(counts["cache_write"], write),
        "cache_write_5m_tokens": masked(counts["cache_write_5m"], write),
        "cache_write_1h_tokens": masked(zero, write),
        "reasoning_tokens": masked(counts["reasoning"], thought),
        "audio_input_tokens": masked(zero, sounds),
        "audio_output_tokens": masked(zero, by_provider & chat),
        "image_input_tokens": masked(zero, seen),
        "video_input_tokens": masked(zero, seen),
        "usage_source": words([UsageSource.PROVIDER, UsageSource.ESTIMATED], np.where(found.known, np.where(found.method >= 1, 1, 0), -1)),
        "usage_method": words(METHODS, np.where(hit, -1, found.method)),
    }


def price_columns(calls: Calls, found: Counted, tariffs: list[Tariff]) -> dict[str, pa.Array]:
    """`tariffs` of this day, by model."""
    sources = list(
        dict.fromkeys(
            [
                *NO_USAGE,
                *(f"{each}{HIDDEN}" for each in NO_USAGE),
                "cache hit",
                *(source for tariff in tariffs for source in tariff.sources),
            ]
        )
    )
    rates = [each for tariff in tariffs for each in tariff.rates]
    cost, listed = calls.model * 0, calls.model < 0
    hidden = BROKEN_OFF[calls.ends.ending] & HIDES[calls.model]
    source = np.array([sources.index(each) for each in NO_USAGE])[calls.ends.ending]
    source = np.where(hidden, np.array([sources.index(f"{each}{HIDDEN}") for each in NO_USAGE])[calls.ends.ending], source)
    rate, first = calls.model * 0 - 1, 0
    for number, tariff in enumerate(tariffs):
        rows = np.flatnonzero((calls.model == number) & found.known)
        tokens = {name: amount[rows] for name, amount in found.tokens.items()}
        step = tariff.step_of(tokens["input"])
        source[rows] = np.array([sources.index(each) for each in tariff.sources])[step]
        if tariff.card is not None:
            cost[rows], listed[rows], rate[rows] = tariff.cost_of(tokens), True, first + step
        first += len(tariff.rates)
    hit = calls.hit
    basis = np.where(hit, 2, np.where(listed, 1, 0))
    return {
        "cost_usd": money(np.where(hit, 0, cost), listed | hit),
        "cost_saved_usd": money(cost, listed & hit),
        "price_source": words(sources, np.where(hit, sources.index("cache hit"), source)),
        "price_basis": words([PriceBasis.UNKNOWN, PriceBasis.LIST, PriceBasis.CACHE], basis),
        "rates": maps(rates, rate),
    }
