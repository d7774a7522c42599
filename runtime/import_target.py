"""The running Heliograph that an export is brought to, over its query port: what it has, what it takes, what it is told of a call."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import httpx2
import msgspec
import zstandard
from msgspec import Struct

from runtime.exported import Exported, keys_of
from runtime.settings import Misconfigured
from storage.refusal import Refusal, Refused

AROUND = timedelta(days=1)
"""A call that both Heliograph and Helicone wrote down began at about the same time."""
TRIES = 30
PAUSE_S = 1.0
TIMEOUT = httpx2.Timeout(120, connect=10)

_KNOWN = """
SELECT request_id, epoch_us(created_at) // 1000 AS ms, rating, map_keys(scores) AS scores FROM calls
WHERE request_id IN ({}) AND created_at BETWEEN CAST(? AS TIMESTAMP) AND CAST(? AS TIMESTAMP)"""


class Known(Struct, frozen=True):
    """A call that the lake has: which judgements of it."""

    rated: bool = False
    scored: frozenset[str] = frozenset()


class Lost(Exception):
    """The answer did not come: what was sent may be there or not."""

    retryable = False


class Took(Struct, frozen=True):
    """What became of the lines of a batch: of those that are not named here, that they are on durable ground."""

    refused: Mapping[int, str]
    """Why, by their place in the batch."""


class _RefusedLine(Struct):
    line: int
    error: str
    again: bool = False


class _Fates(Struct):
    refused: list[_RefusedLine]


class Target:
    """`url` is a query port's. Raises Refused for what its server refuses altogether."""

    def __init__(self, url: str, key: str | None, *, pause: Callable[[float], None] = time.sleep) -> None:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        self._client = httpx2.Client(base_url=url.rstrip("/"), headers=headers, timeout=TIMEOUT, trust_env=False)
        self._url, self._pause = url, pause
        self._reached = False

    def close(self) -> None:
        self._client.close()

    def check(self) -> None:
        """That a query port is there. A proxy port would send questions on to a provider. Raises Refused and Misconfigured."""
        if self._sent("GET", "/v1/directives").status_code == 200:
            raise Misconfigured(f"--url {self._url}: this is a proxy port, which cannot say what is there already. Name the query port.")
        self.known([])

    def known(self, calls: Sequence[Exported]) -> dict[str, Known]:
        """Of these calls those that the lake has, by their keys."""
        times = [call.began_ms for call in calls] or [0]
        span = (_moment(min(times)) - AROUND, _moment(max(times)) + AROUND)
        ids = list(dict.fromkeys(call.request_id for call in calls)) or [""]
        question = {
            "sql": _KNOWN.format(", ".join("?" * len(ids))),
            "parameters": [*ids, *(f"{each:%Y-%m-%d %H:%M:%S}" for each in span)],
        }
        answer = self._sent("POST", "/v1/query", json=question)
        if answer.status_code != 200:
            _refuse(answer)
        found: dict[str, Known] = {}
        for request_id, ms, rating, scores in answer.json()["rows"]:
            known = Known(rating is not None, frozenset(scores or ()))
            found |= dict.fromkeys(keys_of(request_id, int(ms)), known)
        return found

    def log(self, calls: Sequence[Exported]) -> Took:
        """On durable ground when it returns. Raises Lost."""
        left, refused = dict(enumerate(calls)), dict[int, str]()
        for tries in range(TRIES):
            if tries:
                self._pause(PAUSE_S)
            places = list(left)
            fates = self._batch([left[place].line for place in places])
            refused |= {places[fate.line - 1]: fate.error for fate in fates if not fate.again}
            left = {places[fate.line - 1]: left[places[fate.line - 1]] for fate in fates if fate.again}
            if not left:
                return Took(refused)
        raise Refused(_TAKES_NOTHING)

    def _batch(self, lines: Sequence[bytes]) -> list[_RefusedLine]:
        body = zstandard.compress(b"\n".join(lines))
        headers = {"content-type": "application/x-ndjson", "content-encoding": "zstd"}
        answer = self._sent("POST", "/v1/log/batch", content=body, headers=headers)
        if answer.status_code == 400 and len(lines) == 1:
            return [_RefusedLine(1, _words(answer))]
        if answer.status_code not in {200, 503} or (answer.status_code == 503 and b'"refused"' not in answer.content):
            _refuse(answer)
        return msgspec.json.decode(answer.content, type=_Fates).refused

    def judge(self, call: Exported, known: Known) -> str | None:
        """Gives the rating and those scores of a call that the lake has not; why not, where they are refused."""
        rating = None if known.rated or call.rating is None else {"rating": call.rating}
        scores = {name: value for name, value in call.scores.items() if name not in known.scored}
        for path, said in (("feedback", rating), ("score", {"scores": scores} if scores else None)):
            answer = None if said is None else self._judgement(f"/v1/request/{call.request_id}/{path}", said)
            if answer is not None and answer.status_code in {400, 422}:
                return f"its {path} is refused: {_words(answer)}"
            if answer is not None and answer.status_code not in {200, 201}:
                _refuse(answer)
        return None

    def _judgement(self, path: str, said: Mapping[str, Any]) -> httpx2.Response:
        for _ in range(TRIES):
            answer = self._sent("POST", path, json=said)
            if answer.status_code != 503:
                return answer
            self._pause(PAUSE_S)
        raise Refused(_TAKES_NOTHING)

    def _sent(self, method: str, path: str, **said: Any) -> httpx2.Response:
        """A server that was there may come again. Raises Refused where none listens, Lost where the answer did not come."""
        for _ in range(TRIES if self._reached else 1):
            try:
                answer = self._client.request(method, path, **said)
            except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
                raise Misconfigured(f"--url {self._url}: {error}") from None
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                self._pause(PAUSE_S)
            except httpx2.TransportError as error:
                raise Lost(str(error) or type(error).__name__) from None
            else:
                self._reached = True
                return answer
        fix = "Start Heliograph there (heliograph up), or name its query port: --url."
        raise Refused(Refusal(code="unreachable", message=f"Nothing listens at {self._url}.", fix=fix))


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _refuse(answer: httpx2.Response) -> NoReturn:
    fix = "Send another key: HELIOGRAPH_API_KEY, with the scopes write and read." if answer.status_code in {401, 403} else _LOOK
    raise Refused(Refusal(code="import_refused", message=f"It was refused ({answer.status_code}): {_words(answer)}", fix=fix))


def _words(answer: httpx2.Response) -> str:
    """What an answer says is wrong, in whichever of our shapes."""
    try:
        told = answer.json()
    except ValueError:
        return answer.text[:300]
    error = told.get("error", told.get("details", told.get("message"))) if isinstance(told, dict) else told
    return str(error.get("message", error) if isinstance(error, dict) else error)[:1000]


_LOOK = "The server's log says more; --url names the query port of a Heliograph."
_TAKES_NOTHING = Refusal(code="log_unavailable", message="The event log takes nothing now.", fix="The server's log says why; then go on.")
