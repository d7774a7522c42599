"""Questions in, bytes out: whatever can be asked, answered over a lake and written in the form asked for."""

import msgspec

from storage.asked import Answer, Asked, CallAsked, Told
from storage.call_page import call_with_bodies
from storage.formats import Format, json_rows, rendered
from storage.query import QueryResult, Questions, too_large
from storage.refusal import Refused


def answer(questions: Questions, asked: Asked) -> Answer:
    """Raises Refused."""
    if isinstance(asked, CallAsked):
        found = call_with_bodies(questions, asked.key, organization=asked.organization)
        return Answer(body=found or b"", told=Told(found=found is not None))
    result = questions.ask(asked.sql, organization=asked.organization, parameters=asked.parameters)
    body = _written(result, asked.form)
    if len(body) > questions.limits.result_bytes:
        raise Refused(too_large(questions.limits))
    return Answer(body=body, told=Told(truncated=result.truncated))


def _written(result: QueryResult, form: Format) -> bytes:
    if form is not Format.JSON:
        return rendered(result.table, form, width=200)
    about = {
        "columns": result.table.column_names,
        "types": result.types,
        "rows": msgspec.Raw(json_rows(result.table)),
        "truncated": result.truncated,
        "elapsed_ms": round(result.elapsed_ms, 1),
    }
    return msgspec.json.encode(about)
