"""How much is asked and said in made-up calls, and how long it takes. Pure, and whole columns at once."""

import numpy as np
from msgspec import Struct

from runtime.history.arrow import Flags, Floats, Ints
from runtime.history.cast import CHAT, EMBEDDINGS, FEATURES, GEMINI, MESSAGES, MODELS, RESPONSES
from runtime.history.groups import Groups

MIX: Floats = np.cumsum([[feature.models.get(model.name, 0.0) for model in MODELS] for feature in FEATURES], axis=1)
PROMPT: Floats = np.array([feature.prompt for feature in FEATURES])
COMPLETION: Floats = np.array([feature.completion for feature in FEATURES])
STREAMS: Floats = np.array([feature.streams for feature in FEATURES])
TOOLS: Floats = np.array([feature.tools for feature in FEATURES])
WORDS: Floats = np.array([model.words for model in MODELS])
REASONS: Floats = np.array([model.reasons for model in MODELS])
TTFT: Floats = np.array([model.ttft_ms for model in MODELS])
MS_A_TOKEN: Floats = np.array([1000 / model.tokens_per_s if model.tokens_per_s else 0.0 for model in MODELS])
LONGEST_PROMPT, LONGEST_ANSWER = 190_000, 8_000
CACHED_FROM, CACHED_BY = 1024, 128
"""OpenAI caches prompts of so many tokens and more, in steps."""

_dialects = [model.dialect for model in MODELS]
IS_OPENAI: Flags = np.array([model.provider == "openai" and model.dialect != EMBEDDINGS for model in MODELS])
IS_CHAT, IS_RESPONSES, IS_EMBEDDING, IS_ANTHROPIC, IS_GEMINI = (
    np.array([each == dialect for each in _dialects]) for dialect in (CHAT, RESPONSES, EMBEDDINGS, MESSAGES, GEMINI)
)

SAID, TOOL, CUT = range(3)
"""Why the model stopped: it had said it, it calls a tool, or it was at its limit."""
FINISHES: dict[str, tuple[str | None, str | None, str | None]] = {
    CHAT: ("stop", "tool_calls", "length"),
    RESPONSES: ("completed", "completed", "max_output_tokens"),
    EMBEDDINGS: (None, None, None),
    MESSAGES: ("end_turn", "tool_use", "max_tokens"),
    GEMINI: ("STOP", "STOP", "MAX_TOKENS"),
}
"""In the words of each dialect."""
BEGUN = "in_progress"
"""What OpenAI calls a response that broke off."""


class Talk(Struct):
    """For each call what is asked and said, as if all went well."""

    stream: Flags
    prompt: Ints
    completion: Ints
    reasoning: Ints
    cache_read: Ints
    cache_write: Ints
    stop: Ints
    ttft_ms: Floats
    said_ms: Floats
    """From the first byte of the answer to the last."""


def models_for(feature: Ints, rng: np.random.Generator) -> Ints:
    """A model for each call, as its feature uses them."""
    found: Ints = (rng.random(len(feature))[:, None] >= MIX[feature]).sum(axis=1)
    return np.minimum(found, len(MODELS) - 1)


def talk(groups: Groups, model: Ints, rng: np.random.Generator) -> Talk:
    calls, feature = len(model), groups.feature
    grown = 1 + 0.22 * np.minimum(groups.place, 20)
    prompt = np.clip(PROMPT[feature] * grown * rng.lognormal(0, 0.55, calls), 6, LONGEST_PROMPT).astype(np.int64)
    embedding = IS_EMBEDDING[model]
    said = np.clip(COMPLETION[feature] * WORDS[model] * rng.lognormal(-0.1, 0.65, calls), 1, LONGEST_ANSWER).astype(np.int64)
    thought = (said * REASONS[model] * rng.lognormal(-0.15, 0.5, calls)).astype(np.int64)
    said, thought = np.where(embedding, 0, said), np.where(embedding, 0, thought)
    stream = (rng.random(calls) < STREAMS[feature]) & ~embedding
    read, write = _cached(groups, model, prompt, rng)
    chance = rng.random(calls)
    stop = np.where(chance < TOOLS[feature], TOOL, np.where(chance > 0.994, CUT, SAID))
    ttft = TTFT[model] * rng.lognormal(-0.06, 0.35, calls) + (prompt - read) * 0.011 + thought * MS_A_TOKEN[model]
    return Talk(
        stream=stream,
        prompt=prompt,
        completion=said + thought,
        reasoning=thought,
        cache_read=read,
        cache_write=write,
        stop=stop,
        ttft_ms=ttft,
        said_ms=said * MS_A_TOKEN[model] * rng.lognormal(-0.02, 0.2, calls),
    )


def _cached(groups: Groups, model: Ints, prompt: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """What of the prompt the provider's cache had, and what was written to it."""
    calls = len(model)
    later, share = groups.place > 0, rng.uniform(0.35, 0.92, calls)
    seen = rng.random(calls) < np.where(later, 0.72, 0.12)
    part = (prompt * share).astype(np.int64)
    openai = np.where(IS_OPENAI[model] & (prompt >= CACHED_FROM) & seen, part // CACHED_BY * CACHED_BY, 0)
    gemini = np.where(IS_GEMINI[model] & (prompt >= 2 * CACHED_FROM) & seen, part, 0)
    marks = IS_ANTHROPIC[model] & groups.in_session & (prompt >= CACHED_FROM)
    anthropic = np.where(marks & later & seen, part, 0)
    write = np.where(marks, ((prompt - anthropic) * rng.uniform(0.2, 0.8, calls)).astype(np.int64), 0)
    return openai + gemini + anthropic, write
