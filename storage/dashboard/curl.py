"""A call as a command to send it once more: to the provider, by the name of a variable where the key stood. Pure."""

import re
import shlex
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

BODY_CHARACTERS = 100_000
FILE = "request.json"
MASKED = re.compile(r"\*{3,}|REDACTED|…|redacted|masked", re.IGNORECASE)
_KEYS = frozenset({"key", "api_key", "api-key", "apikey", "access_token", "token", "sig", "signature"})
_PLAIN = re.compile(r"[^A-Z0-9_]")


def curl(row: dict[str, Any], body: str | None, content_type: str | None) -> str:
    """`body` None: it is not at rest, or no text; it is read from a file then, as one that is too long for a command."""
    pieces = (
        [f"curl {shlex.quote(_address(row))}", f"-X {row['method']}"] if row["method"] != "POST" else [f"curl {shlex.quote(_address(row))}"]
    )
    pieces += [f"-H {header}" for header in _headers(row)]
    if row["method"] not in {"GET", "HEAD", "DELETE"}:
        pieces.append(f"-H {shlex.quote(f'Content-Type: {_media(content_type)}')}")
        held = body is not None and len(body) <= BODY_CHARACTERS and "\0" not in body
        pieces.append(f"--data-binary {shlex.quote(body) if held and body is not None else f'@{FILE}'}")
    return " \\\n  ".join(pieces)


def _media(said: str | None) -> str:
    return said if said and re.fullmatch(r"[\w.+/;= -]{1,100}", said) else "application/json"


def _address(row: dict[str, Any]) -> str:
    """Origin and path as they were sent, without what is a key among the parameters."""
    target, sent = urlsplit(row["target_url"] or ""), urlsplit(row["path"] or "")
    kept = [
        (name, said)
        for name, said in parse_qsl(sent.query, keep_blank_values=True)
        if name.lower() not in _KEYS and not MASKED.search(said)
    ]
    return f"{target.scheme}://{target.netloc}{sent.path or target.path}" + (f"?{urlencode(kept)}" if kept else "")


def _headers(row: dict[str, Any]) -> list[str]:
    """In double quotes, where a shell puts the variable in."""
    provider, dialect = (row["provider"] or "").lower(), row["dialect"] or ""
    if provider == "anthropic" or (dialect == "anthropic.messages" and not provider):
        return ['"x-api-key: $ANTHROPIC_API_KEY"', "'anthropic-version: 2023-06-01'"]
    if provider in {"google", "gemini"}:
        return ['"x-goog-api-key: $GEMINI_API_KEY"']
    if provider.startswith("azure"):
        return ['"api-key: $AZURE_OPENAI_API_KEY"']
    named = _PLAIN.sub("_", provider.upper()) or "PROVIDER"
    return [f'"Authorization: Bearer ${named if not named[0].isdigit() else "_" + named}_API_KEY"']
