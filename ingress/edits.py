"""What a directive changes in a JSON body. Everything else in it stays as its sender wrote it, in its order, to the byte."""

from collections.abc import Mapping
from typing import Any

import msgspec

from ingress.errors import BadRequest

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
UNSAFE = frozenset({"__proto__", "constructor", "prototype"})
"""Keys that mean something to JavaScript beside their value; Helicone passes over them as well."""


def merged(body: bytes, override: Mapping[str, Any], *, header: str) -> bytes:
    """`body` with `override` in it: objects are merged at every depth, anything else replaces what was there.

    Raises BadRequest naming `header`, which asked for it, when the body is no JSON object.
    """
    if not override:
        return body
    fields = _fields(body, header)
    for name, value in override.items():
        if name not in UNSAFE:
            fields[name] = _inserted(fields.get(name), value)
    return msgspec.json.encode(fields)


def has_usage_option(target: bytes) -> bool:
    """Whether a request there may ask for usage in its stream: chat and legacy completions; elsewhere the field would be refused."""
    return target.partition(b"?")[0].rstrip(b"/").endswith((b"/completions",))


def with_stream_usage(body: bytes, *, header: str) -> bytes:
    """Asks for the usage at the end of a stream (OpenAI API reference, `stream_options`); a body that asks for no stream stays as it is."""
    fields = _fields(body, header)
    if bytes(fields.get("stream", b"")).strip() != b"true":
        return body
    fields["stream_options"] = _inserted(fields.get("stream_options"), {"include_usage": True})
    return msgspec.json.encode(fields)


def check_object(body: bytes, *, header: str) -> None:
    """Raises BadRequest naming `header`, which is to change the body, when that is no JSON object."""
    _fields(body, header)


def fields_of(body: bytes | msgspec.Raw) -> dict[str, Any] | None:
    """A JSON object's fields, each as its sender wrote it; None when it is none."""
    try:
        return dict(_object.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _fields(body: bytes, header: str) -> dict[str, Any]:
    fields = fields_of(body)
    if fields is None:
        raise BadRequest(f"{header} changes the body, which must be a plain JSON object then, without content encoding.", field=header)
    return fields


def _inserted(there: msgspec.Raw | None, value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = (None if there is None else fields_of(there)) or {}
    for name, each in value.items():
        if name not in UNSAFE:
            inner[name] = _inserted(inner.get(name), each)
    return inner
