"""Tokens of a span, in the words of chat completions: `prompt_tokens` is the whole prompt, what was cached a part of it.

OpenTelemetry counts so too, for every provider: `gen_ai.usage.input_tokens` has the cached tokens in it, and an instrumentation of
Anthropic's API, which reports them beside the rest, must add them up. Not all do. So cached tokens count as beside the prompt where they
cannot be in it: they are more than it, or the total says so. The same holds for reasoning and the answer.
Sources: GenAI conventions, "Anthropic", notes on `gen_ai.usage.input_tokens`; OpenLLMetry's Anthropic instrumentation, which adds;
OpenInference, `llm.token_count.prompt_details` (read 2026-11-27).
"""

from ingress.otlp.said import Plain, Said

_INPUT = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens", "llm.token_count.prompt")
_OUTPUT = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.usage.completion_tokens", "llm.token_count.completion")
_TOTAL = ("gen_ai.usage.total_tokens", "llm.usage.total_tokens", "llm.token_count.total")
_READ = (
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "gen_ai.usage.input_tokens.cached",
    "llm.token_count.prompt_details.cache_read",
)
_WRITE = (
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "gen_ai.usage.cache_write_input_tokens",
    "llm.token_count.prompt_details.cache_write",
)
_REASONING = (
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.reasoning_tokens",
    "llm.usage.reasoning_tokens",
    "gen_ai.usage.output_tokens.reasoning",
    "llm.token_count.completion_details.reasoning",
)
_HEARD = ("gen_ai.usage.audio.input_tokens", "llm.token_count.prompt_details.audio")
_SPOKEN = ("gen_ai.usage.audio.output_tokens", "llm.token_count.completion_details.audio")


def usage_of(said: Said, *, embeds: bool) -> Plain | None:
    """None where only one side is told: an embedding has but one."""
    prompt, completion, total = said.count(*_INPUT), said.count(*_OUTPUT), said.count(*_TOTAL)
    if embeds:
        prompt = total if prompt is None else prompt
        return None if prompt is None else {"prompt_tokens": prompt, "total_tokens": prompt}
    read, write, reasoning = said.count(*_READ), said.count(*_WRITE), said.count(*_REASONING)
    cached = (read or 0) + (write or 0)
    if prompt is None and completion is not None and total is not None and total >= completion:
        prompt = total - completion
    if completion is None and prompt is not None and total is not None and total >= prompt:
        completion = total - prompt
    if prompt is None or completion is None:
        return None
    if cached and (cached > prompt or total == prompt + cached + completion):
        prompt += cached
    if reasoning and (reasoning > completion or total == prompt + completion + reasoning):
        completion += reasoning
    inside = _named(cached_tokens=read, cache_write_tokens=write, audio_tokens=said.count(*_HEARD))
    outside = _named(reasoning_tokens=reasoning, audio_tokens=said.count(*_SPOKEN))
    usage: Plain = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    if inside:
        usage["prompt_tokens_details"] = inside
    return usage | ({"completion_tokens_details": outside} if outside else {})


def _named(**counts: int | None) -> Plain:
    return {name: count for name, count in counts.items() if count is not None}
