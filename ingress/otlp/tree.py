"""Where a span stands in its session: the path of its parents' names, as far as they are known.

A path is made of the steps and calls above a span that came in the same request; what is left out between them is passed over. SDKs send
a span when it ends, so that parents come later, often in another request: then what a span itself says of the workflow and the agent that
it runs in makes the beginning.
"""

import re
from collections.abc import Iterable, Iterator

from ingress.otlp.kinds import Kind
from ingress.otlp.said import Said
from ingress.otlp.spans import Attributes, Span

DEEPEST_PATH = 32
"""Names. Those next to the span are kept."""
MOST_ABOVE = 64
"""Spans, those that are left out among them."""
NAME_CHARACTERS = 100
_SEPARATOR = re.compile(r"[/\s]*/[/\s]*")
_STEP_NAMES = ("traceloop.entity.name", "gen_ai.tool.name", "gen_ai.agent.name", "gen_ai.workflow.name", "tool.name", "agent.name")

Key = tuple[str, str]


class Tree:
    """The spans of one request, each with its kind."""

    def __init__(self, spans: Iterable[tuple[Span, Kind | None]]) -> None:
        self._by_id: dict[Key, tuple[Span, Kind | None]] = {(span.trace_id, span.span_id): (span, kind) for span, kind in spans}

    def path_of(self, span: Span, kind: Kind) -> str:
        """Begins with a slash; no name has one in it."""
        names, last = [name_of(span, kind)], span
        for above, above_kind in self._above(span):
            last = above
            if above_kind is not None:
                names.append(name_of(above, above_kind))
        if last.parent_id is not None:
            names += [name for name in reversed(_said_above(last.attributes)) if name not in names]
        kept = names[:DEEPEST_PATH]
        return "/" + "/".join(reversed(kept))

    def _above(self, span: Span) -> Iterator[tuple[Span, Kind | None]]:
        """From its parent on. Parents in a circle end, and so does a chain that was made to be long."""
        for _ in range(MOST_ABOVE):
            above = self._by_id.get((span.trace_id, span.parent_id or ""))
            if above is None:
                return
            yield above
            span = above[0]


def name_of(span: Span, kind: Kind) -> str:
    """A step's own name; a call's is its span's."""
    named = None if kind.step is None else Said(span.attributes).text(*_STEP_NAMES)
    return _plain(named or span.name or kind.operation)


def _said_above(attributes: Attributes) -> list[str]:
    """From the outermost on, without the span itself."""
    said = Said(attributes)
    path = (said.text("traceloop.entity.path") or "").split(".")
    own = said.text("traceloop.entity.name")
    outer = said.text("traceloop.workflow.name", "gen_ai.workflow.name")
    names = [outer, said.text("gen_ai.agent.name", "agent.name"), *(part for part in path if part != own)]
    return [_plain(name) for name in dict.fromkeys(names) if name]


def _plain(name: str) -> str:
    return (_SEPARATOR.sub("_", name.strip()).strip("_") or "_")[:NAME_CHARACTERS]
