"""Where a span stands in its session: the path of its parents' names, as far as they are known.

A path is made of the steps and calls above a span that came in the same request; what is left out between them is passed over. SDKs send
a span when it ends, so that parents come later, often in another request: then what a span itself says of the workflow and the agent that
it runs in makes the beginning.
"""

import re
from collections.abc import Iterable, Mapping

from ingress.otlp.kinds import Kind
from ingress.otlp.said import Said
from ingress.otlp.spans import Span

DEEPEST_PATH = 32
"""Names. Those next to the span are kept."""
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
        seen = {span.span_id}
        while (above := self._by_id.get((last.trace_id, last.parent_id or ""))) is not None and above[0].span_id not in seen:
            last = above[0]
            seen.add(last.span_id)
            if above[1] is not None:
                names.append(name_of(*above))  # type: ignore[arg-type]
        if last.parent_id is not None:
            names += [name for name in reversed(_said_above(last.attributes)) if name not in names]
        kept = names[:DEEPEST_PATH]
        return "/" + "/".join(reversed(kept))


def name_of(span: Span, kind: Kind) -> str:
    """A step's own name; a call's is its span's."""
    named = None if kind.step is None else Said(span.attributes).text(*_STEP_NAMES)
    return _plain(named or span.name or kind.operation)


def _said_above(attributes: Mapping[str, object]) -> list[str]:
    """From the outermost on, without the span itself."""
    said = Said(attributes)  # type: ignore[arg-type]
    path = (said.text("traceloop.entity.path") or "").split(".")
    own = said.text("traceloop.entity.name")
    outer = said.text("traceloop.workflow.name", "gen_ai.workflow.name")
    names = [outer, said.text("gen_ai.agent.name", "agent.name"), *(part for part in path if part != own)]
    return [_plain(name) for name in dict.fromkeys(names) if name]


def _plain(name: str) -> str:
    return (_SEPARATOR.sub("_", name.strip()).strip("_") or "_")[:NAME_CHARACTERS]
