"""Questions in, bytes out: whatever can be asked, answered over a lake and written in the form asked for."""

from collections.abc import Iterable, Iterator

import msgspec
import pyarrow as pa

from storage.asked import PIECE_BYTES, Answer, Asked, CallAsked, SqlAsked, Told
from storage.call_page import call_page
from storage.formats import Format, json_rows, rendered
from storage.query import Limits, QueryResult, Questions, too_large
from storage.refusal import Refusal, Refused


def answer(questions: Questions, asked: Asked) -> Answer:
    """Raises Refused."""
    try:
        return _answer(questions, asked)
    except (pa.ArrowException, RecursionError, OverflowError, ValueError) as error:
        raise Refused(_unwritable(asked)) from error


def _answer(questions: Questions, asked: Asked) -> Answer:
    if isinstance(asked, CallAsked):
        found = call_page(questions, asked.key, organization=asked.organization, bodies=asked.bodies)
        return Answer(pieces=(found or b"",), told=Told(found=found is not None))
    result = questions.ask(asked.sql, organization=asked.organization, parameters=asked.parameters)
    pieces = tuple(_within(questions.limits, _written(result, asked.form, asked.width)))
    return Answer(pieces=pieces, told=Told(rows=result.table.num_rows, truncated=result.truncated))


def _written(result: QueryResult, form: Format, width: int | None) -> Iterator[bytes]:
    if form is not Format.JSON:
        yield from rendered(result.table, form, width=width)
        return
    before = {"columns": result.table.column_names, "types": result.types}
    after = {"truncated": result.truncated, "elapsed_ms": round(result.elapsed_ms, 1)}
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
