"""Questions in, bytes out: whatever can be asked, answered over a lake and written in the form asked for."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import pyarrow as pa

from storage.asked import PIECE_BYTES, Answer, Asked, CallAsked, Lacking, SqlAsked, Take, Told, unheard
from storage.call_page import call_page
from storage.formats import STREAMED, Format, json_rows, rendered, streamed
from storage.query import Found, Limits, QueryResult, Questions, too_large
from storage.refusal import Refusal, Refused


def answer(questions: Questions, asked: Asked) -> Answer:
    """The whole of it. Raises Refused."""
    pieces: list[bytes] = []
    told = pass_on(questions, asked, pieces.append)
    return Answer(pieces=tuple(pieces), told=told)


def pass_on(questions: Questions, asked: Asked, take: Take, lacking: Lacking = unheard) -> Told:
    """Hands on each piece: of a form that is streamed, while the rest is still being found. Raises Refused, then also after some."""
    try:
        return _pass_on(questions, asked, take, lacking)
    except (pa.ArrowException, RecursionError, OverflowError, ValueError) as error:
        raise Refused(_unwritable(asked)) from error


def _pass_on(questions: Questions, asked: Asked, take: Take, lacking: Lacking) -> Told:
    if isinstance(asked, CallAsked):
        found = call_page(questions, asked.key, organization=asked.organization, bodies=asked.bodies)
        take(found or b"")
        return Told(found=found is not None)
    if asked.form in STREAMED:
        return _stream(questions, asked, take, lacking)
    result = questions.ask(asked.sql, organization=asked.organization, parameters=asked.parameters)
    for piece in tuple(_within(questions.limits, _written(result, asked.form, asked.width))):
        take(piece)
    return Told(rows=result.table.num_rows, truncated=result.truncated, unread=result.unread)


def _stream(questions: Questions, asked: SqlAsked, take: Take, lacking: Lacking) -> Told:
    began = False

    def written(found: Found) -> Told:
        nonlocal began
        tables = (pa.Table.from_batches([batch], found.schema) for batch in found.batches)
        for piece in _within(questions.limits, streamed(found.schema, tables, asked.form)):
            if found.unread and not began:
                lacking(found.unread)
            began = True
            take(piece)
        return Told(rows=found.batches.rows, truncated=found.batches.truncated, unread=found.unread)

    return questions.pass_on(asked.sql, written, organization=asked.organization, parameters=asked.parameters, again=lambda: not began)


def _written(result: QueryResult, form: Format, width: int | None) -> Iterator[bytes]:
    if form is not Format.JSON:
        yield from rendered(result.table, form, width=width)
        return
    before = {"columns": result.table.column_names, "types": result.types}
    after: dict[str, Any] = {"truncated": result.truncated, "elapsed_ms": round(result.elapsed_ms, 1)}
    if result.unread:
        after["unread_files"] = result.unread
    yield msgspec.json.encode(before)[:-1] + b',"rows":'
    yield from json_rows(result.table)
    yield b"," + msgspec.json.encode(after)[1:]


def _within(limits: Limits, written: Iterable[bytes]) -> Iterator[bytes]:
    """The same, small pieces put together. Raises Refused as soon as it is too much."""
    size, small = 0, bytearray()
    for piece in written:
        size += len(piece)
        if size > limits.result_bytes:
            raise Refused(too_large(limits))
        small += piece
        if len(small) >= PIECE_BYTES:
            yield bytes(small)
            small.clear()
    if small:
        yield bytes(small)


def _unwritable(asked: Asked) -> Refusal:
    """Arrow, or Python, cannot hold what the engine found: it is nested too deeply, or of a type nobody has met yet."""
    form = asked.form.value if isinstance(asked, SqlAsked) else "json"
    return Refusal(
        code="unwritable_result",
        message=f"The answer holds values that cannot be written as {form}: they are nested too deeply, or beyond all bounds.",
        fix="Cast the column: column::VARCHAR.",
        field="sql",
    )
