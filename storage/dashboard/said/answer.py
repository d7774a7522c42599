"""What was answered: an answer's body as messages. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from storage.dashboard.said.messages import Message, item_of, message_of
from storage.dashboard.said.parts import Kind, Part, listed, mapped, parts_of, picture, text_of, written


def answered(body: Any) -> tuple[Message, ...] | None:
    """None where it has no shape that is known."""
    said = mapped(body[0] if isinstance(body, list) and len(body) == 1 else body)
    for applies, read in _READINGS:
        if applies(said):
            return tuple(read(said))
    return None


def _choices(said: Mapping[str, Any]) -> Iterator[Message]:
    choices = listed(said["choices"])
    for number, each in enumerate(choices):
        choice = mapped(each)
        notes = [f"choice {number + 1} of {len(choices)}"] if len(choices) > 1 else []
        notes += [text_of(choice["finish_reason"])] if choice.get("finish_reason") else []
        spoken = choice.get("message")
        yield message_of({"content": choice.get("text")} if spoken is None else spoken, "assistant", ", ".join(notes))


def _output(said: Mapping[str, Any]) -> Iterator[Message]:
    """Of a response: its items, those of one turn together."""
    parts: list[Part] = []
    for each in listed(said["output"]):
        message = item_of(each, "assistant")
        if message.role == "assistant":
            parts += message.parts
        else:
            yield message
    yield Message(role="assistant", parts=tuple(parts), note=_why(said))


def _why(said: Mapping[str, Any]) -> str:
    return ", ".join(filter(None, (text_of(said.get("status")), text_of(mapped(said.get("incomplete_details")).get("reason")))))


def _candidates(said: Mapping[str, Any]) -> Iterator[Message]:
    for each in listed(said["candidates"]):
        candidate = mapped(each)
        yield message_of(mapped(candidate.get("content")), "assistant", text_of(candidate.get("finishReason")))


def _content(said: Mapping[str, Any]) -> Iterator[Message]:
    yield Message(role="assistant", parts=parts_of(said["content"]), note=text_of(said.get("stop_reason") or said.get("finish_reason")))


def _message(said: Mapping[str, Any]) -> Iterator[Message]:
    yield message_of(said["message"], "assistant", text_of(said.get("finish_reason") or said.get("done_reason")))


def _converse(said: Mapping[str, Any]) -> Iterator[Message]:
    yield message_of(said["output"]["message"], "assistant", text_of(said.get("stopReason")))


def _error(said: Mapping[str, Any]) -> Iterator[Message]:
    error = said["error"]
    told = text_of(mapped(error).get("message")) or text_of(error)
    kind = text_of(mapped(error).get("type") or mapped(error).get("status") or mapped(error).get("code"))
    yield Message(role="error", parts=(Part(kind=Kind.TEXT, text=told),), note=kind)


def _data(said: Mapping[str, Any]) -> Iterator[Message]:
    """Vectors, of which only the size is of interest to a reader, or pictures."""
    rows = [mapped(each) for each in listed(said["data"])]
    if any("embedding" in row for row in rows):
        yield _vectors([row.get("embedding") for row in rows])
        return
    parts: list[Part] = []
    for row in rows:
        revised = row.get("revised_prompt")
        parts += parts_of(revised) if revised else ()
        parts.append(
            picture(
                f"data:image/{text_of(said.get('output_format')) or 'png'};base64,{row['b64_json']}"
                if "b64_json" in row
                else row.get("url")
            )
        )
    yield Message(role="assistant", parts=tuple(parts))


def _vectors(vectors: list[Any]) -> Message:
    first = vectors[0] if vectors else None
    if isinstance(first, list):
        beginning = ", ".join(text_of(each) for each in first[:6])
        size = f"of {len(first):,} numbers, the first: {beginning}{', …' if len(first) > 6 else ''}"
    else:
        size = f"of {len(text_of(first)) * 3 // 16:,} numbers, as base64"
    many = f"{len(vectors):,} vectors" if len(vectors) != 1 else "1 vector"
    return Message(role="assistant", parts=(Part(kind=Kind.OTHER, name="embedding", text=f"{many} {size}"),))


def _embeddings(said: Mapping[str, Any]) -> Iterator[Message]:
    found = said.get("embeddings", said.get("embedding"))
    found = mapped(found).get("float", found) if isinstance(found, dict) and "float" in found else found
    vectors = found if isinstance(found, list) and not all(isinstance(each, (int, float)) for each in found) else [found]
    yield _vectors([mapped(each).get("values", each) if isinstance(each, dict) else each for each in vectors])


def _results(said: Mapping[str, Any]) -> Iterator[Message]:
    yield Message(role="assistant", parts=(Part(kind=Kind.OTHER, name="results", text=written(said["results"])),))


def _text(said: Mapping[str, Any]) -> Iterator[Message]:
    yield Message(
        role="assistant", parts=parts_of(text_of(said.get("text", said.get("response")))), note=text_of(said.get("finish_reason"))
    )


def _held(key: str, kind: type) -> Any:
    return lambda said: isinstance(said.get(key), kind)


_READINGS: tuple[tuple[Any, Any], ...] = (
    (_held("choices", list), _choices),
    (_held("candidates", list), _candidates),
    (_held("output", list), _output),
    (lambda said: isinstance(mapped(said.get("output")).get("message"), dict), _converse),
    (_held("content", list), _content),
    (lambda said: bool(said.get("error")), _error),
    (_held("message", dict), _message),
    (_held("data", list), _data),
    (lambda said: "embedding" in said or "embeddings" in said, _embeddings),
    (_held("results", list), _results),
    (_held("text", str), _text),
    (_held("response", str), _text),
)
