"""How calls come to Heliograph: in numbered batches, one at a time, again until they are decided on; and what is bounded meanwhile."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from heliograph_client import AsyncLogger

from tests.fakes.certificates import Authority
from tests.fakes.log_taker import LogTaker, Says, Taken, log_taker, until

SOON = {"flush_every_s": 0.02}
ANSWER = {"object": "chat.completion", "model": "gpt-4o-mini", "choices": []}


def asked(model: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
def taker() -> Iterator[LogTaker]:
    with log_taker() as made:
        yield made


def test_a_call_and_what_is_said_of_it(taker: LogTaker) -> None:
    with AsyncLogger("sk-helicone-x", taker.url) as logger:
        request_id = logger.log(
            ANSWER, request=asked("a"), user_id="user-7", properties={"plan": "pro"}, session_id="trip", started_at=10, ended_at=12.5
        )
        logger.feedback(request_id, True, comment="Good.")
        logger.score(request_id, {"accuracy": 0.5, "safe": True, "old": None})
    batch, feedback, score = taker.taken
    assert batch.headers["authorization"] == feedback.headers["authorization"] == "Bearer sk-helicone-x"
    (line,) = batch.lines
    assert line["providerRequest"] == {
        "json": asked("a"),
        "meta": {
            "Helicone-Property-plan": "pro",
            "Helicone-User-Id": "user-7",
            "Helicone-Session-Id": "trip",
            "Helicone-Request-Id": request_id,
        },
    }
    assert line["providerResponse"] == {"status": 200, "headers": {}, "json": ANSWER}
    assert (line["timing"]["endTime"], line["provider"]) == ({"seconds": 12, "milliseconds": 500.0}, "openai")
    assert (feedback.path, feedback.raw) == (f"/v1/request/{request_id}/feedback", b'{"rating":true,"comment":"Good."}')
    assert (score.path, score.raw) == (f"/v1/request/{request_id}/score", b'{"scores":{"accuracy":0.5,"safe":true,"old":null}}')
    assert (logger.sent, logger.dropped, logger.refused, logger.misused) == (3, 0, 0, 0)


def test_it_goes_by_itself_and_on_one_connection(taker: LogTaker) -> None:
    logger = AsyncLogger(base_url=taker.url, **SOON)
    for number in range(3):
        logger.log(ANSWER, request=asked(str(number)))
        taker.wait_for(lambda taker, n=number: len(taker.taken) == n + 1)
    epochs, numbers = zip(*(taken.batch.split("/") for taken in taker.taken), strict=True)
    assert (len(set(epochs)), numbers) == (1, ("1", "2", "3"))
    assert len(bytes.fromhex(epochs[0])) == 16
    assert len({taken.peer for taken in taker.taken}) == 1
    logger.close()


def test_a_large_crowd_is_cut_into_batches(taker: LogTaker) -> None:
    with AsyncLogger(base_url=taker.url, queue_calls=30_000, flush_every_s=60) as logger:
        for number in range(12_000):
            logger.log("", request={"model": str(number)})
        logger.log("", request={"model": "long", "prompt": "x" * 1_500_000})
    assert [model for taken in taker.taken for model in taken.models] == [*map(str, range(12_000)), "long"]
    assert all(len(taken.lines) <= 10_000 for taken in taker.taken)
    assert [len(taken.lines) for taken in taker.taken][-1] == 1
    assert [int(taken.batch.split("/")[1]) for taken in taker.taken] == [*range(1, len(taker.taken) + 1)]


@pytest.mark.parametrize(
    "trouble",
    [Says(500), Says(503), Says(502, "<html>"), Says(429, headers={"Retry-After": "0"}), Says(408), Says(hangs_up=True)],
    ids=["500", "503 for all", "502 of a proxy", "429", "408", "no answer"],
)
def test_a_batch_is_sent_again_as_it_was(trouble: Says) -> None:
    with log_taker(trouble, trouble) as taker, AsyncLogger(base_url=taker.url) as logger:
        logger.log(ANSWER, request=asked("a"))
        assert logger.flush()
        logger.log(ANSWER, request=asked("b"))
    first, *others, last = taker.taken
    assert len(others) >= 2  # a connection that was kept and is gone is tried again at once
    assert {(taken.batch, taken.raw) for taken in others} == {(first.batch, first.raw)}
    assert (last.models, last.batch) == (["b"], f"{first.batch[:-1]}2")
    assert (logger.sent, logger.refused) == (2, 0)


def test_while_the_log_is_away_and_room_gets_scarce_a_batch_goes_without_its_number() -> None:
    with log_taker(Says(503), Says(503)) as taker, AsyncLogger(base_url=taker.url, queue_calls=3) as logger:
        for model in "ab":
            logger.log(ANSWER, request=asked(model))
        assert logger.flush()
        logger.log(ANSWER, request=asked("c"))
    first, *others, last = taker.taken
    assert first.batch.endswith("/1")
    assert [(taken.batch, taken.models) for taken in others] == [("", ["a", "b"])] * 2
    assert (last.batch, last.models) == (f"{first.batch[:-1]}2", ["c"])
    assert logger.sent == 3


def test_a_call_too_long_for_a_number_goes_without() -> None:
    with log_taker() as taker, AsyncLogger(base_url=taker.url) as logger:
        logger.log(ANSWER, request={"model": "long", "prompt": "x" * (5 << 20)})
        logger.log(ANSWER, request=asked("short"))
    assert [(taken.models, bool(taken.batch)) for taken in taker.taken] == [(["long"], False), (["short"], True)]


def test_lines_that_the_log_did_not_take_are_a_new_batch() -> None:
    refused = [{"line": 2, "error": "not now", "again": True}, {"line": 3, "error": "model is odd", "field": "model"}]
    partly = Says(503, {"accepted": [], "refused": refused}, {"Retry-After": "0"})
    with log_taker(partly) as taker, AsyncLogger(base_url=taker.url) as logger:
        for model in "abc":
            logger.log(ANSWER, request=asked(model))
    assert [(taken.batch.split("/")[1], taken.models) for taken in taker.taken] == [("1", ["a", "b", "c"]), ("2", ["b"])]
    assert (logger.sent, logger.refused) == (2, 1)


@pytest.mark.parametrize(
    ("says", "word"),
    [
        (Says(401, {"error": "no such key"}), "api_key"),
        (Says(404, {"error": "nothing here"}), "base_url"),
        (Says(400, {"error": "body has no line"}), "no line"),
        (Says(301, headers={"Location": "https://elsewhere"}), "base_url"),
    ],
    ids=["key", "path", "body", "redirect"],
)
def test_what_is_refused_is_dropped_and_said_once(says: Says, word: str, caplog: pytest.LogCaptureFixture) -> None:
    with log_taker(says, says) as taker, AsyncLogger(base_url=taker.url) as logger:
        for model in "ab":
            logger.log(ANSWER, request=asked(model))
            assert logger.flush()
    assert (logger.refused, logger.sent, len(taker.taken)) == (2, 0, 2)
    (record,) = caplog.records
    assert (record.name, word in record.getMessage()) == ("heliograph", True)


def test_a_line_that_is_refused_takes_no_other_with_it() -> None:
    with (
        log_taker(Says(200, {"accepted": [], "refused": [{"line": 1, "error": "odd"}]})) as taker,
        AsyncLogger(base_url=taker.url) as logger,
    ):
        logger.log(ANSWER, request=asked("a"))
        logger.log(ANSWER, request=asked("b"))
    assert (logger.sent, logger.refused, len(taker.taken)) == (1, 1, 1)


def test_what_the_server_names_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with log_taker(Says(503, headers={"Retry-After": "300"})) as taker:
        logger = AsyncLogger(base_url=taker.url, **SOON)
        logger.log(ANSWER)
        until(lambda: bool(caplog.records))
        assert not logger.close(0.5)
        assert (len(taker.taken), logger.dropped) == (1, 1)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]


def test_a_server_that_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    first = LogTaker()
    logger = AsyncLogger(base_url=first.url, **SOON)
    logger.log(ANSWER, request=asked("before"))
    assert logger.flush()
    first.stop()
    logger.log(ANSWER, request=asked("away"))
    until(lambda: bool(caplog.records))
    with log_taker(port=first.port) as second:
        logger.log(ANSWER, request=asked("after"))
        assert logger.close(30)
    assert [model for taken in second.taken for model in taken.models] == ["away", "after"]
    assert (logger.sent, logger.dropped) == (3, 0)
    assert [("takes nothing now" in text, "is back" in text) for text in caplog.messages] == [(True, False), (False, True)]


@pytest.mark.parametrize("bound", [{"queue_calls": 5}, {"queue_bytes": 5_000}], ids=["calls", "bytes"])
def test_the_queue_is_bounded_and_the_newest_gives_way(bound: dict[str, int], caplog: pytest.LogCaptureFixture) -> None:
    released = threading.Event()

    def hold(taken: Taken) -> Says:
        released.wait(30)
        return Says()

    with log_taker(hold) as taker:
        logger = AsyncLogger(base_url=taker.url, **SOON, **bound)
        for number in range(50):
            logger.log("x" * 400, request={"model": str(number)})
        kept = 50 - logger.dropped
        assert 1 <= kept <= 10
        assert [record.getMessage().split(":")[0] for record in caplog.records] == ["1 dropped"]
        released.set()
        assert logger.flush(30)
        logger.log("x", request={"model": "room again"})
        logger.close()
    first, *others, last = [model for taken in taker.taken for model in taken.models]
    assert (first, last, len(others)) == ("0", "room again", kept - 1)


def test_memory_is_bounded_where_nobody_answers() -> None:
    """What was encoded is weighed as it is: what waits is never more than the bound."""
    logger = AsyncLogger(base_url="http://127.0.0.1:9", queue_bytes=1_000_000, **SOON)
    for _ in range(5_000):
        logger.log({"choices": ["y" * 1_000]}, request={"messages": ["x" * 1_000]})
    outbox = logger._sender._outbox
    assert 300 <= outbox.count <= 500
    until(lambda: not outbox._waiting)
    assert outbox.size <= 1_000_000
    assert logger.dropped == 5_000 - outbox.count
    logger.close(0)
    assert logger.dropped == 5_000


def test_one_that_is_too_long_is_not_sent(taker: LogTaker) -> None:
    with AsyncLogger(base_url=taker.url) as logger:
        logger.log("x" * (11 << 20))
        logger.log("y")
    assert (logger.refused, logger.sent, len(taker.taken)) == (1, 1, 1)


def test_after_its_end_it_takes_nothing(taker: LogTaker, caplog: pytest.LogCaptureFixture) -> None:
    logger = AsyncLogger(base_url=taker.url)
    assert logger.close()
    assert logger.log(ANSWER)
    assert logger.close()
    assert (logger.dropped, taker.taken) == (1, [])
    assert "is closed" in caplog.text


def test_a_logger_that_nobody_holds_sends_what_it_has(taker: LogTaker) -> None:
    logger = AsyncLogger(base_url=taker.url, flush_every_s=600)
    logger.log(ANSWER, request=asked("last"))
    thread = logger._sender._thread
    assert thread is not None
    del logger
    taker.wait_for(lambda taker: len(taker.taken) == 1)
    thread.join(30)
    assert not thread.is_alive()


async def test_asyncio(taker: LogTaker) -> None:
    async with AsyncLogger(base_url=taker.url, flush_every_s=600) as logger:
        logger.log(ANSWER)
        assert await logger.aflush()
        logger.log(ANSWER)
    assert [len(taken.lines) for taken in taker.taken] == [1, 1]


WRONG = {
    "a key of two lines": ({"api_key": "a\nb"}, "api_key"),
    "a key that is none": ({"api_key": 7}, "api_key"),
    "no scheme": ({"base_url": "localhost:8787"}, "base_url"),
    "no host": ({"base_url": "http://"}, "base_url"),
    "a port that is none": ({"base_url": "http://host:port"}, "base_url"),
    "nothing may wait": ({"queue_calls": 0}, "queue_calls"),
    "bytes that are text": ({"queue_bytes": "64M"}, "queue_bytes"),
    "no time": ({"timeout_s": float("nan")}, "timeout_s"),
    "less than no time": ({"exit_s": -1}, "exit_s"),
}


@pytest.mark.parametrize(("arguments", "named"), WRONG.values(), ids=WRONG)
def test_the_constructor_says_what_is_wrong(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        AsyncLogger(**arguments)


def test_a_server_that_does_not_answer_in_time_is_asked_again() -> None:
    released = threading.Event()

    def hold(taken: Taken) -> Says:
        released.wait(30)
        return Says()

    with log_taker(hold) as taker, AsyncLogger(base_url=taker.url, timeout_s=0.2) as logger:
        logger.log(ANSWER)
        assert logger.flush(30)
        released.set()
        taker.wait_for(lambda taker: len(taker.taken) == 2)
    assert len({(taken.batch, taken.raw) for taken in taker.taken}) == 1
    assert logger.sent == 1


@pytest.mark.needs("openssl")
def test_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    authority = Authority(tmp_path)
    taker = LogTaker(tls=authority.server("localhost"))
    url = f"https://localhost:{taker.port}"
    stranger = AsyncLogger(base_url=url, **SOON)
    stranger.log(ANSWER, request=asked("to a stranger"))
    until(lambda: "CERTIFICATE_VERIFY_FAILED" in caplog.text)
    assert not stranger.close(0)
    monkeypatch.setenv("SSL_CERT_FILE", authority.file)
    with AsyncLogger(base_url=url) as logger:
        logger.log(ANSWER, request=asked("to one we know"))
    taker.stop()
    assert [taken.models for taken in taker.taken] == [["to one we know"]]


def test_the_environment(taker: LogTaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_URL", f"{taker.url}/behind/")
    monkeypatch.setenv("HELIOGRAPH_KEY", "sk-env")
    with AsyncLogger() as logger:
        logger.log(ANSWER)
    (taken,) = taker.taken
    assert (taken.path, taken.headers["authorization"]) == ("/behind/v1/log/batch", "Bearer sk-env")
    monkeypatch.setenv("HELIOGRAPH_URL", "nowhere")
    with pytest.raises(ValueError, match="HELIOGRAPH_URL"):
        AsyncLogger()
