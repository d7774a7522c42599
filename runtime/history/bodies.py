"""Requests and answers of the newest made-up calls, as events; and their rows, which the pipeline itself makes of these."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from eventlog.codec import Batch, BatchId
from eventlog.events import Body, CallFacts, CallId, CallPriced, Organization, Outcome, RequestId, RequestReceived, ResponseCompleted, Try
from processors.assembled import assemble
from processors.calls import understand
from processors.pricing.rates import RateBook
from runtime.history.answers import CUT, TOOL
from runtime.history.arrow import Ints
from runtime.history.cast import AT_HOME, CHAT, FEATURES, MODELS, RESPONSES
from runtime.history.rows import Made
from runtime.history.said import SHAPES
from runtime.history.scenes import SCENES, Json, Said, answer, question, written
from storage.rows import BodyRow, bodies_table, calls_table

JSON, EVENTS = "application/json", "text/event-stream; charset=utf-8"
ROW = BatchId(epoch="0" * 32, sequence=1)
TALL = 1_000_000
TOGETHER = 1000
"""Calls that are written out at once: as events they take much more room than as columns."""

Row = Mapping[str, Any]
"""A made-up call, by the lake's columns."""
Both = tuple[RequestReceived, ResponseCompleted]


def with_bodies(made: Made, calls: pa.Table, newest: int, book: RateBook, rng: np.random.Generator) -> tuple[pa.Table, pa.Table]:
    """The bodies of so many of the newest of these calls, and all calls, those of them as the pipeline understands them."""
    first = len(calls) - newest
    number = rng.integers(100, TALL, len(calls))
    number = np.where(made.calls.hit, number[np.maximum(made.calls.reference, 0)], number)
    bodies: list[pa.Table] = []
    understood = [calls.slice(0, first)]
    for begin in range(first, len(calls), TOGETHER):
        rows = calls.slice(begin, TOGETHER).to_pylist()
        both = [events_of(row, said_by(made, at, number)) for at, row in enumerate(rows, begin)]
        bodies.append(bodies_table([BodyRow(event, assemble) for pair in both for event in pair]))
        understood.append(calls_table(priced([completed for _, completed in both], book)))
    return pa.concat_tables(bodies), pa.concat_tables(understood)


def priced(events: Sequence[ResponseCompleted], book: RateBook) -> tuple[CallPriced, ...]:
    return understand(Batch(id=ROW, partition=0, events=tuple(events)), book).calls.events


def said_by(made: Made, at: int, number: Ints) -> Said:
    """What is said in the call at this place; of the cache's answer, what the earlier call said."""
    calls, tokens = made.calls, made.counted.tokens
    groups, model = calls.groups, MODELS[int(calls.model[at])]
    source = int(calls.reference[at]) if calls.hit[at] else at
    scene, pick = SCENES[FEATURES[int(groups.feature[at])].name], int(number[at])
    counts = {name: int(tokens[name][source]) for name in ("input", "output", "reasoning", "cache_read", "cache_write")}
    return Said(
        model=model.name,
        answers_as=model.answers_as,
        at_home=model.door is AT_HOME,
        stream=bool(calls.talk.stream[at]),
        scene=scene,
        number=pick,
        asked=question(scene, pick),
        text=answer(scene, counts["output"] - counts["reasoning"], pick),
        calls_tool=int(calls.talk.stop[at]) == TOOL and scene.tool is not None,
        was_cut=int(calls.talk.stop[at]) == CUT,
        earlier=bool(groups.place[at]) and bool(groups.in_session[at]),
        **counts,
    )


def events_of(row: Row, said: Said) -> Both:
    facts = facts_of(row)
    asked = _body(written(SHAPES[row["dialect"]].request(said)), JSON)
    answered = _answer(row, said)
    estimated = row["outcome"].startswith("interrupted") and row["dialect"] in {CHAT, RESPONSES}
    return RequestReceived(call=facts, request=asked), ResponseCompleted(
        call=facts,
        completed_at=_aware(row["completed_at"]),
        outcome=Outcome(row["outcome"]),
        status=row["status"],
        latency_ms=row["latency_ms"],
        ttft_ms=row["ttft_ms"],
        request_bytes=asked.size,
        response=answered,
        request=asked if estimated else Body(),
        attempts=row["attempts"],
        tries=tuple(Try(**each) for each in row["tries"] or ()),
        fallback_index=row["fallback_index"],
        cache_hit=row["cache_hit"],
        cache_reference_id=row["cache_reference_id"],
        error=None if row["outcome"] == Outcome.PROVIDER_ERROR else row["error"],
    )


def facts_of(row: Row) -> CallFacts:
    return CallFacts(
        call_id=CallId(row["call_id"]),
        request_id=RequestId(row["request_id"]),
        organization=Organization(row["organization"]),
        created_at=_aware(row["created_at"]),
        model=row["request_model"],
        properties=dict(row["properties"]),
        prompt_inputs=dict(row["prompt_inputs"]),
        **{name: row[name] for name in ("provider", "method", "path", "target_url", "stream", "user_id", "session_id")},
        **{name: row[name] for name in ("session_name", "session_path", "prompt_id", "prompt_version")},
    )


def _aware(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC)


def _body(text: str, kind: str) -> Body:
    return Body(text=text, size=len(text.encode()), content_type=kind)


def _answer(row: Row, said: Said) -> Body:
    """What the provider sent, as far as it came."""
    outcome = Outcome(row["outcome"])
    if outcome is Outcome.PROVIDER_ERROR:
        return _body(written(error_of(row)), JSON)
    if outcome is Outcome.COMPLETED and not said.stream:
        return _body(written(SHAPES[row["dialect"]].answer(said)), JSON)
    if outcome in {Outcome.COMPLETED, Outcome.INTERRUPTED_BY_CLIENT, Outcome.INTERRUPTED_BY_PROVIDER}:
        events = SHAPES[row["dialect"]].stream(said)
        came = events if outcome is Outcome.COMPLETED else events[: len(events) // 2]
        return _body("".join(came), EVENTS)
    return Body()


def error_of(row: Row) -> Json:
    """In the provider's shape."""
    code, _, message = row["error"].partition(": ")
    match row["provider"]:
        case "anthropic":
            return {"type": "error", "error": {"type": code, "message": message}}
        case "google":
            return {"error": {"code": row["status"], "message": message, "status": code}}
        case _:
            return {"error": {"message": message, "type": code, "param": None, "code": code}}
