"""Google's embeddings: `embedContent` and `batchEmbedContents`, and Vertex's `predict` of an embedding model.

Sources: Gemini API reference, "Embeddings"; Vertex AI reference, "Text embeddings API" (read 2026-11-26). Newer models report
`usageMetadata`, with `promptTokenDetails`; older ones report nothing, and nobody knows their tokens then. Vertex's `predict` counts
the tokens of each text beside its vector, and `embedContent` there may too.
"""

from typing import Any

import msgspec
from msgspec import Struct

from processors.dialects.answer import UNREADABLE, Answer, last_object
from processors.dialects.arrays import items_of
from processors.dialects.dialect import Dialect, Events
from processors.dialects.google_gemini import problem_in
from processors.dialects.google_paths import model_in
from processors.dialects.google_usage import IMAGES, of_kind
from processors.dialects.reading import Reading, part
from processors.usage import Usage, count, or_refused


class Counted(Struct):
    statistics: Any = None


class Prediction(Struct):
    embeddings: Counted | None = None


class Plain(Struct, rename="camel"):
    usage_metadata: Any = None
    error: Any = None


class Embedded(Plain):
    """Vectors are skipped, not built."""

    embedding: Counted | None = None
    embeddings: list[Counted] | None = None
    predictions: list[Prediction] | None = None

    def counted(self) -> list[Counted]:
        predicted = [prediction.embeddings for prediction in self.predictions or () if prediction.embeddings is not None]
        return [*([] if self.embedding is None else [self.embedding]), *(self.embeddings or ()), *predicted]


_embedded = msgspec.json.Decoder(Embedded)
_plain = msgspec.json.Decoder(Plain)


def claims(path: str) -> bool:
    method = path.rpartition(":")[2]
    return method in {"embedContent", "batchEmbedContents"} or (method == "predict" and "embedding" in (model_in(path) or ""))


def of_json(answer: Answer) -> Reading:
    embedded = _embedded_of(answer.text) if answer.tail is None else _of_pieces(answer)
    usage, refused = or_refused(usage_of, embedded)
    return Reading(usage=usage, problem=problem_in(embedded.error), refused=refused)


def _embedded_of(text: str | bytes) -> Plain:
    try:
        return _embedded.decode(text)
    except msgspec.ValidationError:
        return _plain.decode(text)


def _of_pieces(answer: Answer) -> Plain:
    """Tokens beside the vectors that are gone cannot be added up."""
    whole = answer.text + (answer.tail or "") if answer.adjoins else answer.tail or ""
    return Plain(usage_metadata=last_object(whole[-2 * 65_536 :], "usageMetadata"))


def usage_of(embedded: Plain) -> Usage | None:
    """None when nothing was reported; raises UsageRefused."""
    reported = embedded.usage_metadata
    prompt = count(part(reported, "promptTokenCount"), "promptTokenCount")
    if prompt is None:
        prompt = _added(embedded)
    if prompt is None:
        return None
    details = [part(reported, "promptTokenDetails"), part(reported, "promptTokensDetails")]
    return Usage(
        input=prompt,
        output=0,
        audio_input=of_kind(details, "AUDIO"),
        image_input=of_kind(details, *IMAGES),
        video_input=of_kind(details, "VIDEO"),
    )


def _added(embedded: Plain) -> int | None:
    """The sum of what is counted for each text; None when one of them is not."""
    counted = embedded.counted() if isinstance(embedded, Embedded) else []
    tokens = [count(_tokens_of(one.statistics), "token_count") for one in counted]
    return sum(one for one in tokens if one is not None) if tokens and None not in tokens else None


def _tokens_of(statistics: object) -> object:
    """Snake case in `predict`, camel case in `embedContent`."""
    said = part(statistics, "token_count")
    return part(statistics, "tokenCount") if said is None else said


def of_stream(events: Events) -> Reading:
    """Embeddings never stream; what comes as an array is an error."""
    return next((Reading(problem=problem) for event in events if (problem := problem_in(_error_of(event.data)))), Reading())


def _error_of(data: bytes) -> object:
    try:
        return _plain.decode(data).error
    except UNREADABLE:
        return None


DIALECT = Dialect(
    name="google.embeddings",
    claims=claims,
    of_json=of_json,
    of_stream=of_stream,
    pieces=items_of,
    model_in=model_in,
)
