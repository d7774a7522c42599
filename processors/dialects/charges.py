"""What providers in OpenAI's shape bill beside tokens, and what some of them say that the whole call cost.

Sources: OpenRouter "Usage accounting"; Perplexity API reference, "Chat completions", `usage.cost`, and "Pricing"; xAI "Cost tracking" (read
2026-11-26) and "Live search"; DeepInfra API reference, "OpenAI chat completions"; Mistral "Audio", on `prompt_audio_seconds`, and
"Agents", on connectors.
"""

from decimal import Decimal, InvalidOperation

from processors.dialects.reading import part

TICKS = 10_000_000_000
"""xAI's ticks in a dollar."""

STATED = frozenset({"cost", "cost_in_usd_ticks", "estimated_cost"})

COUNTED = frozenset({"num_sources_used", "connectors", "prompt_audio_seconds"})
"""What is billed by another count than tokens."""

SONAR = "sonar"
"""Perplexity's models."""

FULL_FEE = "high"
"""Perplexity's fee for each request depends on how much of the web it reads. The price list has this one alone."""


def stated_cost(usage: object) -> Decimal | None:
    """USD that the provider says it charged; whether it is to be believed is for whoever knows the provider."""
    if not isinstance(usage, dict) or STATED.isdisjoint(usage):
        return None
    cost = usage.get("cost")
    if isinstance(cost, dict):
        return money(cost.get("total_cost")) if cost.get("currency", "USD") == "USD" else None
    if cost is not None:
        return _routers(usage, money(cost))
    ticks = money(usage.get("cost_in_usd_ticks"), most=1_000_000 * TICKS)
    return money(usage.get("estimated_cost")) if ticks is None else ticks / TICKS


def states_a_cost(usage: object) -> bool:
    """Whether some figure is there, whatever it is."""
    if not isinstance(usage, dict):
        return False
    cost = usage.get("cost")
    if isinstance(cost, dict):
        cost = cost.get("total_cost") if cost.get("currency", "USD") == "USD" else None
    return any(said is not None for said in (cost, usage.get("cost_in_usd_ticks"), usage.get("estimated_cost")))


def _routers(usage: dict[str, object], cost: Decimal | None) -> Decimal | None:
    """With a key of the caller's own OpenRouter's fee and the provider's bill come apart, and both are paid."""
    if cost is None or usage.get("is_byok") is not True:
        return cost
    upstream = money(part(usage.get("cost_details"), "upstream_inference_cost"))
    return None if upstream is None else cost + upstream


def money(value: object, *, most: int = 1_000_000) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(text := repr(value).strip("'")) > 40:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount < most else None


def billed_beside(usage: object, model: str | None) -> str | None:
    """What the tokens do not pay for and the price list does not price; None when tokens are all."""
    if not isinstance(usage, dict):
        return None
    if not COUNTED.isdisjoint(usage) and (reason := _counted_beside(usage)):
        return reason
    if model is None or not model.startswith(SONAR) or model == "sonar-deep-research" or usage.get("search_context_size") == FULL_FEE:
        return None
    size = _size(usage.get("search_context_size"))
    return f"the fee for a request with a {size} search context is in no price list"


def _counted_beside(usage: dict[str, object]) -> str | None:
    if _some(usage.get("num_sources_used")):
        return "the sources of a live search are billed beside the tokens"
    if usage.get("connectors"):
        return "the calls of connectors are billed beside the tokens"
    if _some(usage.get("prompt_audio_seconds")):
        return "audio is billed by the second beside the tokens"
    return None


def _some(number: object) -> bool:
    """A zero of any spelling is nothing, and so is what is no number."""
    return bool(money(number, most=1_000_000_000))


def _size(size: object) -> str:
    return size if isinstance(size, str) and size in {"low", "medium"} else "smaller or unknown"
