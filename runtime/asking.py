"""`heliograph query`: of the running query side when there is one, else of the lake itself."""

import json
import urllib.error
import urllib.request

import msgspec

from runtime.query_side import limits_of
from runtime.settings import Settings
from storage.formats import Format, rendered
from storage.lake import Lake
from storage.query import run_query
from storage.refusal import Refusal, Refused


def ask(chosen: Settings, sql: str, form: Format, *, width: int | None) -> bytes:
    """The answer in the form asked for. Raises Refused."""
    try:
        return _ask_server(chosen, sql, form)
    except ConnectionRefusedError:
        result = run_query(Lake.open(chosen.storage()), sql, organization=chosen.organization, limits=limits_of(chosen))
        return rendered(result.table, form, width=width)


def _ask_server(chosen: Settings, sql: str, form: Format) -> bytes:
    body = json.dumps({"sql": sql, "format": form.value}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{chosen.api_port}/v1/query", body, {"content-type": "application/json"}, method="POST"
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=chosen.query.timeout_s + 10) as answer:
            found: bytes = answer.read()
            return found
    except urllib.error.HTTPError as error:
        with error:
            raise Refused(_refusal(error.read(), error.code)) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ConnectionRefusedError):
            raise error.reason from None
        raise Refused(
            Refusal(code="unreachable", message=f"The query side does not answer: {error.reason}.", fix="Look at its log, or try again.")
        ) from None


class _Told(msgspec.Struct):
    error: Refusal


def _refusal(body: bytes, status: int) -> Refusal:
    try:
        return msgspec.json.decode(body, type=_Told).error
    except msgspec.DecodeError:
        return Refusal(
            code="not_heliograph",
            message=f"What listens on the query port answered {status}, and not as Heliograph does.",
            fix="Look at HELIOGRAPH_API_PORT.",
        )
