"""Answers of our own, in the shape that the client's dialect has for errors, each with a stable `code`.

Shapes: OpenAI API reference, "Error codes"; Anthropic API reference, "Errors" (both read 2026-11-24).
"""

from typing import Any

import msgspec

from ingress.errors import CallFailed
from ingress.routes import Dialect

JSON = (b"content-type", b"application/json")
ANY_ERROR: dict[int | str, dict[str, Any]] = {
    "default": {"description": "What went wrong.", "content": {"application/json": {}, "text/plain": {"schema": {"type": "string"}}}}
}
"""The errors of an endpoint of ours, for the OpenAPI document."""

_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def error_answer(error: CallFailed, dialect: Dialect) -> bytes:
    """The body that tells a client of `error`."""
    return error_body(error.status, error.code, str(error), dialect, field=error.field)


def error_body(status: int, code: str, message: str, dialect: Dialect, *, field: str | None = None) -> bytes:
    if dialect is Dialect.ANTHROPIC:
        kind = _ANTHROPIC_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
        return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message, "param": field}, "code": code})
    kind = "invalid_request_error" if status < 500 or status == 501 else "api_error"
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": field, "code": code}})
