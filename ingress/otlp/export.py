"""From what one request brings to the calls that it tells of: what is kept, what is refused, what is left out."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from eventlog.keys import Caller
from ingress.async_log import BadLog, Headers
from ingress.async_log_calls import Call, call_of
from ingress.async_log_events import CUSTOM
from ingress.otlp.answers import Encoding
from ingress.otlp.calls import logged_of, span_call_id
from ingress.otlp.json_spans import spans_of_json
from ingress.otlp.kinds import kind_of
from ingress.otlp.protobuf_spans import spans_of_protobuf
from ingress.otlp.said import Said
from ingress.otlp.spans import Export, Refusal
from ingress.otlp.tree import Tree

EXPORT_BYTES = 20 << 20
"""Of one request, decoded: what OpenTelemetry's Collector takes, unless it is told otherwise."""
_READERS: Mapping[Encoding, Callable[[bytes, float], Export]] = {
    Encoding.JSON: spans_of_json,
    Encoding.PROTOBUF: spans_of_protobuf,
}


class Kept(NamedTuple):
    calls: Sequence[Call]
    refused: Sequence[Refusal]
    left_out: int
    """Spans that tell of neither a call nor a step."""

    @property
    def told(self) -> str:
        """For the answer's header: people ask why a span is not there."""
        steps = sum(call.facts.step is not None for call in self.calls)
        counts = {"calls": len(self.calls) - steps, "steps": steps, "left-out": self.left_out, "refused": len(self.refused)}
        return ", ".join(f"{name}={count}" for name, count in counts.items())


def kept_of(body: bytes, encoding: Encoding, headers: Headers, caller: Caller, *, now: float, body_limit: int) -> Kept:
    """Raises BadLog where nothing of it can be read."""
    export = _READERS[encoding](body, now)
    kinds = [(span, kind_of(Said(span.attributes))) for span in export.spans]
    tree, calls, refused = Tree(kinds), list[Call](), list(export.refused)
    for span, kind in kinds:
        if kind is None:
            continue
        try:
            logged = logged_of(span, kind, tree, headers)
            call_id = span_call_id(caller.organization, span)
            calls.append(call_of(logged, caller, call_id=call_id, provider=CUSTOM, body_limit=body_limit))
        except BadLog as error:
            refused.append(Refusal(error.field, str(error)))
    return Kept(calls, refused, sum(kind is None for _, kind in kinds))
