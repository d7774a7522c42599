"""`heliograph query`: of the running query side when there is one, else of the lake itself."""

import json
import re
import urllib.error
import urllib.request

import msgspec
from msgspec import Struct

from eventlog.events import DEFAULT_ORGANIZATION
from runtime.query_limits import limits_of
from runtime.settings import Misconfigured, Settings
from storage.answers import answer
from storage.asked import WIDTH, Answer, SqlAsked, Told
from storage.formats import Format
from storage.lake import Lake, NoLake
from storage.query import Questions
from storage.refusal import Refusal, Refused
from storage.whose import whose


class Wish(Struct, frozen=True, kw_only=True):
    """A question as it was typed."""

    sql: str
    form: Format
    width: int | None = None
    """Of the terminal, in characters."""
    organization: str = ""
    """Whose rows; empty: those that one sees without saying; `*`: of all."""
    here: bool = False
    """Of the lake in the data directory, whatever runs."""
    there: bool = False
    """Of what listens on the query port, and of nothing else."""


def ask(chosen: Settings, wish: Wish) -> Answer:
    """The answer in the form asked for. Raises Refused and Misconfigured."""
    if wish.here:
        return _ask_lake(chosen, wish)
    try:
        return _ask_server(chosen, wish)
    except ConnectionRefusedError:
        if wish.there:
            raise Refused(_nobody(chosen)) from None
        return _ask_lake(chosen, wish)


def existing_lake(chosen: Settings) -> Lake:
    """The lake to read. Nothing is made where there is none: that raises Misconfigured."""
    try:
        return Lake.existing(chosen.storage())
    except NoLake as error:
        raise Misconfigured(
            f"{error} Name the directory of a Heliograph with --data-dir (HELIOGRAPH_DATA_DIR), or start one there: heliograph up."
        ) from error


def told_of_cut(told: Told) -> str:
    """What to say of an answer that is not whole."""
    return (
        f"only the first {told.rows} rows are here; there are more. HELIOGRAPH_QUERY__ROWS is the limit: for everything raise it where the "
        "query side runs, ask in parts, or read the files that `heliograph lake files` names."
    )


def _ask_lake(chosen: Settings, wish: Wish) -> Answer:
    """Who can read its files may see all."""
    organization = whose(wish.organization, DEFAULT_ORGANIZATION, sees_all=True)
    questions = Questions(existing_lake(chosen), limits_of(chosen))
    try:
        return answer(questions, SqlAsked(sql=wish.sql, form=wish.form, organization=organization, width=wish.width or WIDTH))
    finally:
        questions.close()


def _said(wish: Wish) -> dict[str, str | int]:
    width = {} if wish.width is None else {"width": min(max(wish.width, 20), 10_000)}
    return {"sql": wish.sql, "format": wish.form.value} | width | ({"organization": wish.organization} if wish.organization else {})


def _ask_server(chosen: Settings, wish: Wish) -> Answer:
    body = json.dumps(_said(wish)).encode()
    headers = {"content-type": "application/json"}
    if chosen.api_key is not None:
        headers["authorization"] = f"Bearer {key_said(chosen.api_key.get_secret_value())}"
    request = urllib.request.Request(f"http://127.0.0.1:{chosen.api_port}/v1/query", body, headers, method="POST")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=chosen.query.timeout_s + 10) as found:
            told = Told(rows=int(found.headers.get("heliograph-rows", 0)), truncated="heliograph-truncated" in found.headers)
            return Answer(pieces=(found.read(),), told=told)
    except urllib.error.HTTPError as error:
        with error:
            raise Refused(_refusal(error.read(), error.code)) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ConnectionRefusedError):
            raise error.reason from None
        raise Refused(
            Refusal(code="unreachable", message=f"The query side does not answer: {error.reason}.", fix="Look at its log, or try again.")
        ) from None


def key_said(said: str) -> str:
    """A key as it may stand in a header. Raises Misconfigured, which does not say it again."""
    key = said.strip()
    if re.fullmatch(r"[\x21-\x7e]+", key) is None:
        raise Misconfigured("HELIOGRAPH_API_KEY is no key: it has blanks, line ends or other signs in it.")
    return key


def _nobody(chosen: Settings) -> Refusal:
    return Refusal(
        code="unreachable",
        message=f"Nothing listens on port {chosen.api_port}.",
        fix="Name the port of a running query side, or leave --api-port away: then the lake itself is read where nothing runs.",
    )


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
