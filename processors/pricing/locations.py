"""Where a call ran, where that decides what it costs.

Source: Anthropic docs, "Claude on Vertex AI", "Global vs regional endpoints": from Claude Sonnet 4.5 on, and for all models that came
later, a regional or multi-region endpoint costs a tenth more than the global one, whose prices the list has (read 2026-11-26). Bedrock's
list has a model of its own for each.
"""

import re

from processors.dialects.reading import PriceContext

LOCATION = "location"
GLOBAL = "global"
_CLAUDE_AT = re.compile(r"/locations/([a-z0-9-]{1,40})/publishers/anthropic/models/")
_EARLIER = re.compile(r"claude-(instant|2|3)|claude-(sonnet|opus)-4(-1)?([@-]20\d{6})?$")


def location_of(path: str, model: str | None) -> PriceContext:
    """Nothing where the price is the same everywhere."""
    found = _CLAUDE_AT.search(path)
    if found is None or found[1] == GLOBAL or model is None or _EARLIER.search(model):
        return ()
    return ((LOCATION, found[1]),)
