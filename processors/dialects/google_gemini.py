"""Google Gemini: `generateContent` and `streamGenerateContent`, of the Gemini API and of Vertex.

Sources: Gemini API reference, "Generating content"; Vertex AI reference, "GenerateContentResponse" (read 2026-11-26). A stream is events
when asked for with `alt=sse`, else one JSON array; each piece is a whole answer with less text. `usageMetadata` is cumulative: what is
said later replaces what was said before. On Vertex all but the last piece have none of its counts.
"""

from typing import Any

import msgspec
from msgspec import Struct

from processors.dialects.accumulate import Text
from processors.dialects.answer import UNREADABLE, Answer, last_object, object_of, word_in
from processors.dialects.arrays import items_of
from processors.dialects.dialect import Dialect, Events, Message
from processors.dialects.google_paths import bare, model_in
from processors.dialects.google_usage import PROVISIONED, context_of, is_provisioned, usage_of
from processors.dialects.reading import Problem, Reading, part, problem_of, word
from processors.usage import or_refused

ONE_PER_PROMPT = ("gemini-1", "gemini-2")
"""Models whose search is billed once for a prompt, however many queries it took; later ones pay for each query ("Grounding with Google
Search", section on pricing, read 2026-11-26)."""

MAPS = "grounding with Google Maps has no listed price"


class Candidate(Struct, rename="camel"):
    index: Any = None
    finish_reason: Any = None
    grounding_metadata: Any = None


class Plain(Struct, rename="camel"):
    """An answer's top-level fields, of any kind."""

    usage_metadata: Any = None
    model_version: Any = None
    prompt_feedback: Any = None
    error: Any = None


class Piece(Plain):
    candidates: list[Candidate] = []


_piece = msgspec.json.Decoder(Piece)
_plain = msgspec.json.Decoder(Plain)


def claims(path: str) -> bool:
    return path.endswith((":generateContent", ":streamGenerateContent"))


def of_json(answer: Answer) -> Reading:
    gathered = Gathered()
    gathered.take(_piece_of(answer.text) if answer.tail is None else _of_pieces(answer))
    return gathered.reading()


def of_stream(events: Events) -> Reading:
    gathered = Gathered()
    for event in events:
        try:
            gathered.take(_piece_of(event.data))
        except UNREADABLE:
            continue
    return gathered.reading()


def _piece_of(text: str | bytes) -> Plain:
    try:
        return _piece.decode(text)
    except msgspec.ValidationError:
        return _plain.decode(text)


def _of_pieces(answer: Answer) -> Piece:
    tail = answer.text + (answer.tail or "") if answer.adjoins else answer.tail or ""
    end = tail[-2 * 65_536 :]
    return Piece(
        usage_metadata=last_object(end, "usageMetadata"),
        model_version=word_in(end, "modelVersion", last=True) or word_in(answer.text[:65_536], "modelVersion"),
        candidates=[
            Candidate(finish_reason=word_in(end, "finishReason", last=True), grounding_metadata=last_object(end, "groundingMetadata"))
        ],
    )


class Gathered:
    """What the pieces of an answer have said so far."""

    def __init__(self) -> None:
        self.usage: dict[str, Any] = {}
        self.model: object = None
        self.feedback: object = None
        self.error: object = None
        self.finished: dict[int, object] = {}
        self.grounding: dict[int, object] = {}

    def take(self, piece: Plain) -> None:
        self.model = piece.model_version or self.model
        self.feedback = piece.prompt_feedback or self.feedback
        self.error = piece.error if piece.error is not None else self.error
        self._take_usage(piece.usage_metadata)
        for candidate in piece.candidates if isinstance(piece, Piece) else ():
            index = candidate.index if isinstance(candidate.index, int) else 0
            if candidate.finish_reason:
                self.finished[index] = candidate.finish_reason
            if candidate.grounding_metadata:
                self.grounding[index] = candidate.grounding_metadata

    def _take_usage(self, reported: object) -> None:
        if isinstance(reported, dict):
            self.usage |= reported if None not in reported.values() else {key: said for key, said in reported.items() if said is not None}
        elif reported is not None:
            self.usage |= {"promptTokenCount": ()}  # no count: refused when it is read, unless a later piece reports better

    def reading(self) -> Reading:
        model = bare(word(self.model))
        usage, refused = or_refused(usage_of, self.usage, web_searches=searches_of(self.grounding.values(), model))
        return Reading(
            usage=usage,
            model=model,
            finish_reason=self._finish_reason(),
            problem=problem_in(self.error),
            context=context_of(self.usage),
            unpriced=self._unpriced(),
            refused=refused,
        )

    def _finish_reason(self) -> str | None:
        """The first candidate's; of a prompt that was blocked there is none, and the reason stands elsewhere."""
        reasons = (self.finished.get(0), *self.finished.values(), part(self.feedback, "blockReason"))
        return next((reason for said in reasons if (reason := word(said))), None)

    def _unpriced(self) -> str | None:
        if is_provisioned(self.usage):
            return PROVISIONED
        return MAPS if any(_has_maps(grounding) for grounding in self.grounding.values()) else None


def _has_maps(grounding: object) -> bool:
    chunks = part(grounding, "groundingChunks")
    return isinstance(chunks, list) and any(part(chunk, "maps") is not None for chunk in chunks)


def searches_of(groundings: Any, model: str | None) -> int | None:
    """Searches as they are billed."""
    lists = [queries for grounding in groundings if isinstance(queries := part(grounding, "webSearchQueries"), list)]
    queries = sum(1 for queries in lists for query in queries if query)
    if not queries:
        return None
    return 1 if (model or "").startswith(ONE_PER_PROMPT) else queries


def problem_in(error: object) -> Problem | None:
    """Google's own word for it says more than the HTTP status beside it."""
    named = word(part(error, "status"))
    return problem_of(error if named is None else {"code": named, "message": part(error, "message")})


def message_of(events: Events) -> Message | None:
    whole: Message = {}
    candidates: dict[int, Whole] = {}
    for event in events:
        piece = object_of(event.data)
        if piece is None:
            continue
        given = piece.pop("candidates", None)
        for candidate in given if isinstance(given, list) else ():
            if isinstance(candidate, dict):
                index = candidate.get("index")
                candidates.setdefault(index if isinstance(index, int) else 0, Whole()).take(candidate)
        _add_fields(whole, piece)
    if not candidates and not whole:
        return None
    return ({"candidates": [candidates[index].finished(index) for index in sorted(candidates)]} if candidates else {}) | whole


def _add_fields(whole: Message, piece: Message) -> None:
    for name, value in piece.items():
        known = whole.get(name)
        if name == "usageMetadata" and isinstance(known, dict) and isinstance(value, dict):
            whole[name] = known | {key: said for key, said in value.items() if said is not None}
        elif value is not None:
            whole[name] = value


class Whole:
    """A candidate while it arrives: texts are joined, all other parts come whole, and what is said again replaces what was said."""

    def __init__(self) -> None:
        self.parts: list[dict[str, Any]] = []
        self.role: object = None
        self.fields: dict[str, Any] = {}

    def take(self, candidate: dict[str, Any]) -> None:
        content = candidate.get("content")
        self.fields |= {name: value for name, value in candidate.items() if name not in {"content", "index"} and value is not None}
        self.role = part(content, "role") or self.role
        parts = part(content, "parts")
        for item in parts if isinstance(parts, list) else ():
            if isinstance(item, dict):
                self._add(item)

    def _add(self, item: dict[str, Any]) -> None:
        """A signature belongs to its own part: joined with another it would no longer be accepted."""
        text, last = item.get("text"), self.parts[-1] if self.parts else {}
        known = last.get("text")
        if not isinstance(text, str) or not item.keys() <= {"text", "thought"}:
            self.parts.append(dict(item))
        elif isinstance(known, Text) and bool(last.get("thought")) == bool(item.get("thought")):
            known.parts.append(text)
        else:
            self.parts.append(item | {"text": Text(text)})

    def finished(self, index: int) -> dict[str, Any]:
        parts = [item | {"text": "".join(item["text"].parts)} if isinstance(item.get("text"), Text) else item for item in self.parts]
        role = {} if self.role is None else {"role": self.role}
        return {"content": {"parts": parts} | role} | self.fields | {"index": index}


DIALECT = Dialect(
    name="google.gemini",
    claims=claims,
    of_json=of_json,
    of_stream=of_stream,
    message_of=message_of,
    pieces=items_of,
    model_in=model_in,
)
