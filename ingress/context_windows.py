"""How much a model reads and writes at most: the price list of `genai-prices` says that too. Read when it is first asked.

It takes a third of a second then: ask beside the event loop.
"""

import re
from functools import lru_cache

NAMES = {"bedrock": "aws", "gemini": "google", "vertex": "google", "x": "x-ai", "xai": "x-ai"}
"""Providers whom the list calls otherwise."""
MAKERS = ("openai", "anthropic", "google", "mistral", "deepseek", "x-ai")
"""Whose models others sell under the same names."""
LONGEST_NAME = 256
_IN_PATH = re.compile(rb"/models/([\w.-]{1,256}):\w")


def context_window_of(provider: str, model: str) -> int | None:
    """Tokens of a model of `provider`, which is our name for it or a host; None where nobody knows."""
    return None if len(model) > LONGEST_NAME else _looked_up(provider, model)


def model_in(target: bytes) -> str | None:
    """The model that a request's path names, as Gemini's do: `/v1beta/models/gemini-2.5-pro:generateContent`."""
    found = _IN_PATH.search(target.partition(b"?")[0])
    return found[1].decode() if found else None


@lru_cache(maxsize=1024)
def _looked_up(provider: str, model: str) -> int | None:
    from genai_prices.data import providers  # noqa: PLC0415 - large, and seldom wanted

    by_id = {each.id: each for each in providers}
    for name in dict.fromkeys((NAMES.get(provider, provider), *MAKERS)):
        found = by_id[name].find_model(model, all_providers=providers) if name in by_id else None
        if found is not None and found.context_window:
            return found.context_window
    return None
