"""Usage of Perplexity's Sonar models, whose parts stand beside each other where OpenAI has them inside.

Source: Perplexity API reference, "Chat completions", `usage`, and "Pricing", its example for deep research:
`completion_tokens`, `reasoning_tokens` and `citation_tokens` are each multiplied with a rate and added up.
"""

from processors.usage import Usage, UsageRefused, count

SIGNS = frozenset({"citation_tokens", "num_search_queries", "search_context_size"})
"""Fields that nobody else has."""


def is_perplexity(usage: dict[str, object]) -> bool:
    return not SIGNS.isdisjoint(usage) and any(usage.get(name) is not None for name in SIGNS)


def perplexity_usage(usage: dict[str, object]) -> Usage | None:
    """None when no tokens were reported; raises UsageRefused."""
    prompt, completion = count(usage.get("prompt_tokens"), "prompt_tokens"), count(usage.get("completion_tokens"), "completion_tokens")
    if prompt is None and completion is None:
        return None
    if prompt is None or completion is None:
        raise UsageRefused("usage names only one side of the call")
    reasoning, citations = count(usage.get("reasoning_tokens"), "reasoning_tokens"), count(usage.get("citation_tokens"), "citation_tokens")
    output = completion + (reasoning or 0) + (citations or 0)
    total = count(usage.get("total_tokens"), "total_tokens")
    if total is not None and not prompt + completion <= total <= prompt + output:
        raise UsageRefused("total_tokens contradict their parts")
    return Usage(
        input=prompt,
        output=output,
        reasoning=reasoning,
        citations=citations,
        web_searches=count(usage.get("num_search_queries"), "num_search_queries"),
    )
