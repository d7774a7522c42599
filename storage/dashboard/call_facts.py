"""What is known of a call beside what was said, in groups, each fact with the filter that finds calls like it. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from storage.dashboard import units
from storage.dashboard.filters import FIELDS, KEY_CHARACTERS, PROPERTY, VALUE_CHARACTERS, Filter


class Fact(Struct, frozen=True, kw_only=True):
    label: str
    text: str
    filter: Filter | None = None
    copied: bool = False
    """An id, with a button that copies it."""


class Group(Struct, frozen=True, kw_only=True):
    title: str
    facts: tuple[Fact, ...]


def groups(row: Mapping[str, Any]) -> list[Group]:
    """`row`: of `calls`, its decimals as text. What is not known is left out, as is a group of which nothing is."""
    made = [
        Group(title=title, facts=tuple(facts))
        for title, facts in (
            ("Who", _plain(row, _WHO)),
            ("Properties", _properties(row)),
            ("Prompt", [*_plain(row, _PROMPT), *(Fact(label=name, text=said) for name, said in (row["prompt_inputs"] or {}).items())]),
            ("Model", _plain(row, _MODEL)),
            ("Tokens", _tokens(row)),
            ("Request", [*_plain(row, _REQUEST), *_sizes(row)]),
        )
    ]
    return [group for group in made if group.facts]


_WHO = (
    ("user_id", "User", "user"),
    ("session_id", "Session", "session"),
    ("session_name", "Session name", ""),
    ("session_path", "Path", ""),
)
_PROMPT = (("prompt_id", "Prompt", "prompt"), ("prompt_version", "Version", ""))
_MODEL = (
    *(("model", "Model", "model"), ("request_model", "Asked for", ""), ("response_model", "Answered", "")),
    *(("model_override", "Override", ""), ("provider", "Provider", "provider"), ("finish_reason", "Stopped by", "")),
)
_REQUEST = (
    *(("call_id", "Call id", ""), ("request_id", "Request id", ""), ("method", "Method", ""), ("path", "Path", "path")),
    *(("target_url", "Target", ""), ("dialect", "Read as", ""), ("source", "Source", "source"), ("traceparent", "Trace", "")),
    *(("organization", "Organization", ""), ("amended_at", "Amended", "")),
)
_IDS = frozenset({"call_id", "request_id", "session_id", "user_id"})
_TOKENS = (
    *(("prompt_tokens", "Prompt"), ("cache_read_tokens", "of it from the cache"), ("cache_write_tokens", "of it to the cache")),
    *(("audio_input_tokens", "of it audio"), ("image_input_tokens", "of it images"), ("completion_tokens", "Answer")),
    *(("reasoning_tokens", "of it reasoning"), ("audio_output_tokens", "of it audio"), ("total_tokens", "Together")),
)


def _plain(row: Mapping[str, Any], wanted: tuple[tuple[str, str, str], ...]) -> Iterator[Fact]:
    for column, label, field in wanted:
        said = row[column]
        if said is not None and said != "":
            yield Fact(label=label, text=str(said), filter=_filter(field, str(said)), copied=column in _IDS)


def _filter(field: str, said: str, key: str = "") -> Filter | None:
    able = len(said) <= VALUE_CHARACTERS and "\0" not in said and (field in FIELDS)
    return Filter(field, said, key) if able else None


def _properties(row: Mapping[str, Any]) -> Iterator[Fact]:
    for key, said in (row["properties"] or {}).items():
        yield Fact(label=key, text=said, filter=_filter(PROPERTY, said, key) if 0 < len(key) <= KEY_CHARACTERS else None)


def _tokens(row: Mapping[str, Any]) -> Iterator[Fact]:
    for column, label in _TOKENS:
        if row[column]:
            yield Fact(label=label, text=f"{row[column]:,}")
    if row["usage_source"] == "estimated":
        yield Fact(label="Counted", text=f"here, an estimate: {row['usage_method']}")
    elif row["usage_method"]:
        yield Fact(label="Counted", text=row["usage_method"])


def _sizes(row: Mapping[str, Any]) -> Iterator[Fact]:
    for column, label in (("request_bytes", "Sent"), ("response_bytes", "Received")):
        if row[column] is not None:
            yield Fact(label=label, text=units.octets(row[column]))
    if row["redactions"]:
        yield Fact(label="Redacted", text=", ".join(f"{name} × {count}" for name, count in row["redactions"].items()))
