"""One piece of a message: text, thinking, a tool that is called, what it gave back, a picture. Pure.

The providers' pieces are told apart by their own marks, a `type` or the one key that is there, so that one reading serves all: OpenAI's
chat and responses, Anthropic's messages, Google's contents, Bedrock's converse. A piece that nobody knows is shown as its JSON.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

IMAGE_CHARACTERS = 3_000_000
"""Of a picture that is shown: about two megabytes of it."""
_PICTURE = re.compile(r"data:image/(?:png|jpeg|jpg|gif|webp|avif);base64,[A-Za-z0-9+/=\s]+")
_MEDIA = re.compile(r"[\w.+-]+/[\w.+-]+")


class Kind(StrEnum):
    TEXT = "text"
    THINKING = "thinking"
    CALL = "call"
    RESULT = "result"
    IMAGE = "image"
    REFUSAL = "refusal"
    OTHER = "other"


class Part(Struct, frozen=True, kw_only=True):
    """`text` is what is read, in whatever kind; of a picture it says what it is."""

    kind: Kind
    text: str = ""
    name: str = ""
    """Of a tool; of another piece, what it is."""
    id: str = ""
    """By which a tool's result belongs to its call."""
    image: str = ""
    """A picture as a `data:` URL of a kind that only draws; empty where it is not to be shown."""
    failed: bool = False
    """Of a result: the tool says so."""


def listed(said: Any) -> list[Any]:
    return said if isinstance(said, list) else []


def mapped(said: Any) -> Mapping[str, Any]:
    return said if isinstance(said, dict) else {}


def text_of(said: Any) -> str:
    """A text as it is; anything else as its JSON; nothing for null."""
    return said if isinstance(said, str) else "" if said is None else written(said)


def written(said: Any) -> str:
    return json.dumps(said, ensure_ascii=False, indent=2)


def parts_of(content: Any) -> tuple[Part, ...]:
    """Of a message's content: a text, a piece, or a list of either."""
    pieces = content if isinstance(content, list) else [] if content is None else [content]
    return tuple(part for piece in pieces for part in _parts(piece))


def called(name: Any, arguments: Any, ident: Any = "") -> Part:
    """A tool that is called. Arguments that are JSON in a text are written out as JSON."""
    return Part(kind=Kind.CALL, name=text_of(name), id=text_of(ident), text=_laid_out(arguments))


def given(output: Any, ident: Any = "", name: Any = "", *, failed: bool = False) -> Iterator[Part]:
    """What a tool gave back: its text, and the pictures in it."""
    inner = parts_of(output) if isinstance(output, list) else ()
    text = "\n".join(part.text for part in inner if part.kind is not Kind.IMAGE) if inner else _laid_out(output)
    yield Part(kind=Kind.RESULT, name=text_of(name), id=text_of(ident), text=text, failed=failed)
    yield from (part for part in inner if part.kind is Kind.IMAGE)


def picture(url: Any) -> Part:
    """Only what the body itself holds is shown; an address elsewhere is never asked."""
    said = text_of(url)
    if not said.startswith("data:"):
        return Part(kind=Kind.IMAGE, text=f"{said[:2000]} (not loaded)" if said else "(nothing)")
    media = said[5:].partition(";")[0][:80]
    size = f"{len(said) * 3 // 4:,} bytes"
    if len(said) > IMAGE_CHARACTERS:
        return Part(kind=Kind.IMAGE, text=f"{media}, {size}: too large to be shown here; the body has it")
    if not _PICTURE.fullmatch(said):
        return Part(kind=Kind.IMAGE, text=f"{media}, {size} (not shown: only PNG, JPEG, GIF, WebP and AVIF are)")
    return Part(kind=Kind.IMAGE, text=f"{media}, {size}", image=said)


def _inline(media: Any, data: Any) -> Part:
    kind = text_of(media)
    if kind.startswith("image/"):
        return picture(f"data:{kind};base64,{text_of(data)}")
    return Part(kind=Kind.OTHER, name=kind if _MEDIA.fullmatch(kind) else "file", text=f"{len(text_of(data)) * 3 // 4:,} bytes")


def _laid_out(said: Any) -> str:
    if not isinstance(said, str):
        return text_of(said)
    if said[:1] in ("{", "["):
        try:
            return written(json.loads(said))
        except (ValueError, RecursionError):
            return said
    return said


def _parts(piece: Any) -> Iterator[Part]:
    if isinstance(piece, str):
        yield Part(kind=Kind.TEXT, text=piece)
        return
    said = mapped(piece)
    kind = said.get("type")
    read = _BY_TYPE.get(kind) if isinstance(kind, str) else next((_BY_KEY[key] for key in _BY_KEY if key in said), None)
    if read is None and isinstance(kind, str):
        read = _tool_by_suffix(kind)
    if read is None:
        yield other(piece)
    else:
        yield from read(said)


def other(piece: Any) -> Part:
    kind = mapped(piece).get("type")
    return Part(kind=Kind.OTHER, name=kind if isinstance(kind, str) else "", text=written(piece))


Read = Callable[[Mapping[str, Any]], Iterator[Part]]


def _tool_by_suffix(kind: str) -> Read | None:
    """`web_search_tool_result`, `mcp_tool_use`: tools that a provider runs itself."""
    if kind.endswith("tool_result"):
        return _result
    return _use if kind.endswith("tool_use") else None


def _text(said: Mapping[str, Any]) -> Iterator[Part]:
    yield Part(kind=Kind.THINKING if said.get("thought") is True else Kind.TEXT, text=text_of(said.get("text")))


def _thinking(said: Mapping[str, Any]) -> Iterator[Part]:
    if "thinking" in said:
        yield Part(kind=Kind.THINKING, text=text_of(said["thinking"]))
        return
    pieces = [*listed(said.get("summary")), *listed(said.get("content"))]
    text = "\n\n".join(text_of(mapped(each).get("text")) for each in pieces)
    sealed = "(sealed by the provider)" if said.get("encrypted_content") or said.get("data") else "(kept by the provider)"
    yield Part(kind=Kind.THINKING, text=text or sealed)


def _use(said: Mapping[str, Any]) -> Iterator[Part]:
    yield called(said.get("name"), said.get("input"), said.get("id"))


def _result(said: Mapping[str, Any]) -> Iterator[Part]:
    yield from given(said.get("content"), said.get("tool_use_id"), failed=said.get("is_error") is True)


def _image_url(said: Mapping[str, Any]) -> Iterator[Part]:
    url = said.get("image_url")
    yield picture(url if isinstance(url, str) else mapped(url).get("url") or said.get("file_id"))


def _image(said: Mapping[str, Any]) -> Iterator[Part]:
    source = mapped(said.get("source"))
    yield _inline(source.get("media_type"), source["data"]) if "data" in source else picture(source.get("url") or source.get("file_id"))


def _refusal(said: Mapping[str, Any]) -> Iterator[Part]:
    yield Part(kind=Kind.REFUSAL, text=text_of(said.get("refusal")))


def _audio(said: Mapping[str, Any]) -> Iterator[Part]:
    sound = mapped(said.get("input_audio") or said.get("audio"))
    yield Part(
        kind=Kind.OTHER, name="audio", text=text_of(sound.get("transcript")) or f"{len(text_of(sound.get('data'))) * 3 // 4:,} bytes"
    )


def _file(said: Mapping[str, Any]) -> Iterator[Part]:
    held = mapped(said.get("file") or said.get("source") or said)
    named = [text_of(held[key])[:300] for key in ("filename", "file_id", "media_type", "url", "file_url") if key in held]
    named += [text_of(said[key])[:300] for key in ("title", "filename") if key in said and held is not said]
    content = held.get("data") if held.get("type") == "text" else None
    yield Part(kind=Kind.OTHER, name="file", text=text_of(content) or ", ".join(named) or "a file")


def _function_call(said: Mapping[str, Any]) -> Iterator[Part]:
    call = mapped(said["functionCall"])
    yield called(call.get("name"), call.get("args"), call.get("id"))


def _function_response(said: Mapping[str, Any]) -> Iterator[Part]:
    answer = mapped(said["functionResponse"])
    yield from given(answer.get("response"), answer.get("id"), answer.get("name"))


def _inline_data(said: Mapping[str, Any]) -> Iterator[Part]:
    data = mapped(said.get("inlineData") or said.get("inline_data"))
    yield _inline(data.get("mimeType") or data.get("mime_type"), data.get("data"))


def _file_data(said: Mapping[str, Any]) -> Iterator[Part]:
    data = mapped(said.get("fileData") or said.get("file_data"))
    address = text_of(data.get("fileUri") or data.get("file_uri"))
    yield Part(kind=Kind.OTHER, name="file", text=f"{address[:2000]} (not loaded)")


def _converse_use(said: Mapping[str, Any]) -> Iterator[Part]:
    use = mapped(said["toolUse"])
    yield called(use.get("name"), use.get("input"), use.get("toolUseId"))


def _converse_result(said: Mapping[str, Any]) -> Iterator[Part]:
    result = mapped(said["toolResult"])
    content = [mapped(each).get("json", each) if "json" in mapped(each) else each for each in listed(result.get("content"))]
    yield from given(content, result.get("toolUseId"), failed=result.get("status") == "error")


def _converse_reasoning(said: Mapping[str, Any]) -> Iterator[Part]:
    yield Part(kind=Kind.THINKING, text=text_of(mapped(mapped(said["reasoningContent"]).get("reasoningText")).get("text")))


def _converse_image(said: Mapping[str, Any]) -> Iterator[Part]:
    image = mapped(said["image"])
    yield _inline(f"image/{text_of(image.get('format'))}", mapped(image.get("source")).get("bytes"))


_BY_TYPE: Mapping[str, Read] = {
    **dict.fromkeys(("text", "input_text", "output_text", "summary_text", "reasoning_text"), _text),
    **dict.fromkeys(("thinking", "redacted_thinking", "reasoning"), _thinking),
    **dict.fromkeys(("tool_use", "server_tool_use"), _use),
    **dict.fromkeys(("image_url", "input_image"), _image_url),
    **dict.fromkeys(("input_audio", "audio"), _audio),
    **dict.fromkeys(("file", "input_file", "document"), _file),
    "tool_result": _result,
    "image": _image,
    "refusal": _refusal,
}
_BY_KEY: Mapping[str, Read] = {
    "functionCall": _function_call,
    "functionResponse": _function_response,
    **dict.fromkeys(("inlineData", "inline_data"), _inline_data),
    **dict.fromkeys(("fileData", "file_data"), _file_data),
    "toolUse": _converse_use,
    "toolResult": _converse_result,
    "reasoningContent": _converse_reasoning,
    "image": _converse_image,
    "text": _text,
}
