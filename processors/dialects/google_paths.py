"""Google's paths: a resource's name, a colon, and what is asked of it.

Sources: Gemini API reference, "Generating content"; Vertex AI REST reference, "publishers.models" and "endpoints" (read 2026-11-26).
Gemini API: `/v1beta/models/MODEL:METHOD`, `/v1beta/tunedModels/MODEL:METHOD`. Vertex:
`/v1/projects/PROJECT/locations/LOCATION/publishers/PUBLISHER/models/MODEL:METHOD`, or `…/endpoints/ENDPOINT:METHOD` of a tuned one.
"""

import re
from urllib.parse import unquote

_NAMED = re.compile(r"/(models|tunedModels|endpoints)/([^/:]+):[A-Za-z]+\Z")

ANTHROPIC = "/publishers/anthropic/models/"
COUNT_TOKENS = ANTHROPIC + "count-tokens:rawPredict"


def model_in(path: str) -> str | None:
    """The bare name of a model; a tuned one keeps its collection, for nobody lists a price by that name."""
    found = _NAMED.search(path)
    if found is None:
        return None
    collection, name = found[1], unquote(found[2])
    return name if collection == "models" else f"{collection}/{name}"


def bare(model: str | None) -> str | None:
    """A model's name without its resource path."""
    return None if model is None else model.removeprefix("models/").removeprefix("publishers/google/models/")
