"""What a span says in the place of Helicone's headers: user, session, properties, prompt.

What stands in a span wins over a header of the request that brought it, which holds for all spans of it.
"""

from collections.abc import Iterator, Mapping

from ingress.async_log import META_BYTES, NAME_CHARACTERS, BadLog, Headers
from ingress.directives import PREFIX
from ingress.header_table import BY_NAME, ELSEWHERE, SPELLED
from ingress.otlp.kinds import Kind
from ingress.otlp.said import Said, as_text
from ingress.otlp.spans import Span

ASSOCIATED = "traceloop.association.properties."
PROPERTY = "Helicone-Property-"
LONGEST = 1_000
"""Characters of what is made a property or a session without having been named one."""
NOT_FOR_ALL = frozenset({b"helicone-request-id"})
"""Headers that hold for one call alone."""
_SESSION = ("session.id", "gen_ai.conversation.id")
_USER = ("user.id", "enduser.id")
_KEPT = ("gen_ai.agent.name", "gen_ai.prompt.name")
_OF_RESOURCE = {
    "service.name": ("service.name",),
    "service.version": ("service.version",),
    "deployment.environment.name": ("deployment.environment.name", "deployment.environment"),
}
"""Properties that are made of what is said of the sender."""


def headers_of(span: Span, kind: Kind, path: str, request: Headers) -> tuple[Headers, Mapping[bytes, str]]:
    """As headers, and the attribute that each came from. Raises BadLog."""
    found: dict[bytes, bytes] = {}
    came_from: dict[bytes, str] = {}
    size = 0
    for name, value, attribute in (*_said_plainly(span), *_associated(span)):
        plain, text = name.strip().lower().encode(), value.strip().encode("utf-8", "replace")
        size += len(plain) + len(text)
        if size > META_BYTES:
            raise BadLog(f"{span.path}.attributes", f"hold more than {META_BYTES >> 10} KiB of properties and other names for headers")
        found[plain], came_from[plain] = text, f"{span.path}.attributes[{attribute!r}]"
    given = {name: value for name, value in request if name.startswith(PREFIX) and name not in NOT_FOR_ALL}
    usual = {b"helicone-session-id": _session(span), b"helicone-session-path": path} | _properties(span, kind)
    return [*({name: value.encode("utf-8", "replace") for name, value in usual.items()} | given | found).items()], came_from


def _session(span: Span) -> str:
    """A trace is a session, where nobody says more."""
    return (Said(span.attributes).text(*_SESSION) or span.trace_id)[:LONGEST]


def _properties(span: Span, kind: Kind) -> dict[bytes, str]:
    said, sender = Said(span.attributes), Said(span.resource)
    told = {"otel.trace_id": span.trace_id, "otel.span_id": span.span_id, "gen_ai.operation.name": kind.operation}
    if span.parent_id is not None:
        told["otel.parent_span_id"] = span.parent_id
    told |= {name: text for name in _KEPT if (text := said.text(name)) is not None}
    told |= {name: text for name, names in _OF_RESOURCE.items() if (text := sender.text(*names)) is not None}
    return {f"{PROPERTY}{name}".lower().encode(): text[:LONGEST] for name, text in told.items()}


def _said_plainly(span: Span) -> Iterator[tuple[str, str, str]]:
    said = Said(span.attributes)
    for header, names in {
        "Helicone-User-Id": _USER,
        "Helicone-Prompt-Id": ("traceloop.prompt.key", "gen_ai.prompt.name"),
        "Helicone-Prompt-Version": ("traceloop.prompt.version", "gen_ai.prompt.version"),
    }.items():
        value = said.text(*names)
        if value is not None:
            yield header, value, next(name for name in names if said.text(name) is not None)


def _associated(span: Span) -> Iterator[tuple[str, str, str]]:
    """Any other name than a header's is a property. The header that says who calls is the request's alone."""
    for name, value in Said(span.attributes).under(ASSOCIATED).items():
        plain = name.strip().lower().encode("utf-8", "replace")
        if not plain or len(plain) > NAME_CHARACTERS or value is None or plain == b"helicone-auth":
            continue
        is_header = plain in BY_NAME or plain in SPELLED or plain in ELSEWHERE or plain.startswith(PROPERTY.lower().encode())
        yield (name if is_header else f"{PROPERTY}{name}"), as_text(value), f"{ASSOCIATED}{name}"
