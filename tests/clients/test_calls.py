"""Calls that are told of while they run: blocks, wrapped functions, streams; and that whatever goes wrong in it is nobody's trouble."""

import asyncio
import gc
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, closing
from typing import Any

import pytest
from heliograph_client import AsyncLogger

from tests.fakes.hostile import Hostile, HostileFunction, HostileMapping, HostileModel, circle
from tests.fakes.log_taker import LogTaker, log_taker

PIECES = [
    {"object": "chat.completion.chunk", "model": "m", "choices": [{"delta": {"content": text}, "finish_reason": end}]}
    for text, end in (("Sa", None), ("lt", None), ("", "stop"))
]
ANSWER = {"object": "chat.completion", "model": "m", "choices": []}


@pytest.fixture
def taker() -> Iterator[LogTaker]:
    with log_taker() as made:
        yield made


@pytest.fixture
def logger(taker: LogTaker) -> Iterator[AsyncLogger]:
    with AsyncLogger(base_url=taker.url, flush_every_s=600) as made:
        yield made


def told(logger: AsyncLogger, taker: LogTaker) -> dict[str, Any]:
    """The one call that was told of."""
    assert logger.flush(30)
    (line,) = [line for taken in taker.taken for line in taken.lines]
    return line


def status_of(line: dict[str, Any]) -> int:
    return line["providerResponse"]["status"]


def pieces_of(line: dict[str, Any]) -> Any:
    return line["providerResponse"]["json"]["streamed_data"]


class RefusedByProvider(Exception):
    """As openai's and anthropic's are."""

    def __init__(self, status: int, body: Any = None) -> None:
        super().__init__("no, with Bearer sk-secret-of-ours")
        self.status_code, self.body = status, body


class ReadTimeout(Exception):
    """As httpx's is."""


def test_a_block(logger: AsyncLogger, taker: LogTaker) -> None:
    with logger.call({"model": "m"}, user_id="u", session_path="/a") as call:
        call.response(ANSWER)
    line = told(logger, taker)
    assert line["providerRequest"]["json"] == {"model": "m"}
    assert line["providerRequest"]["meta"]["Helicone-Request-Id"] == call.request_id
    assert (line["providerRequest"]["meta"]["Helicone-Session-Path"], status_of(line)) == ("/a", 200)


def test_a_block_with_pieces_and_one_with_a_status(logger: AsyncLogger, taker: LogTaker) -> None:
    with logger.call({"model": "m"}) as call:
        for piece in PIECES:
            call.chunk(piece)
    with logger.call({"model": "m"}) as call:
        call.response({"error": "busy"}, status=529)
    assert logger.flush(30)
    streamed, refused = [line for taken in taker.taken for line in taken.lines]
    assert (pieces_of(streamed), status_of(streamed)) == (PIECES, 200)
    assert streamed["timing"]["timeToFirstToken"] >= 0
    assert status_of(refused) == 529


def test_an_exception_after_the_answer_is_the_applications_own(logger: AsyncLogger, taker: LogTaker) -> None:
    def ask() -> None:
        with logger.call({"model": "m"}) as call:
            call.response(ANSWER)
            raise KeyError("mine")

    with pytest.raises(KeyError):
        ask()
    assert status_of(told(logger, taker)) == 200


def test_a_block_that_says_nothing(logger: AsyncLogger, taker: LogTaker) -> None:
    with logger.call({"model": "m"}):
        pass
    assert logger.flush(30)
    assert (taker.taken, logger.misused) == ([], 1)


async def test_a_block_of_asyncio_that_is_cancelled(logger: AsyncLogger, taker: LogTaker) -> None:
    inside = asyncio.Event()

    async def ask() -> None:
        async with logger.call({"model": "m"}):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(ask())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await logger.aflush()
    assert status_of(told(logger, taker)) == -3


ERRORS: dict[str, tuple[BaseException, int, Any]] = {
    "of the provider": (RefusedByProvider(429, {"message": "slow down"}), 429, {"error": {"message": "slow down"}}),
    "with a whole body": (RefusedByProvider(400, {"error": {"code": "x"}}), 400, {"error": {"code": "x"}}),
    "without a body": (RefusedByProvider(500), 500, {"error": {"type": "RefusedByProvider", "message": "no, with Bearer ***"}}),
    "too late": (ReadTimeout(), -2, {"error": {"type": "ReadTimeout", "message": ""}}),
    "any other": (ConnectionError("gone, api_key=abc"), -100, {"error": {"type": "ConnectionError", "message": "gone, api_key=***"}}),
    "the user went away": (KeyboardInterrupt(), -3, {}),
}


@pytest.mark.parametrize(("error", "status", "body"), ERRORS.values(), ids=ERRORS)
def test_what_a_function_raises_is_told_and_raised(
    error: BaseException, status: int, body: Any, logger: AsyncLogger, taker: LogTaker
) -> None:
    def ask(**arguments: Any) -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        logger.wrap(ask)(model="m")
    assert raised.value is error
    line = told(logger, taker)
    assert (status_of(line), line["providerResponse"]["json"]) == (status, body)


def test_a_function_keeps_its_name_its_arguments_and_its_result(logger: AsyncLogger, taker: LogTaker) -> None:
    def ask(body: dict[str, Any], *, model: str = "m", api_key: str = "") -> Any:
        """Asks."""
        return ANSWER

    wrapped = logger.wrap(ask, user_id="u")
    assert wrapped({"seed": 1}, model="n", api_key="sk-x") is ANSWER
    assert (wrapped.__name__, wrapped.__doc__) == ("ask", "Asks.")
    line = told(logger, taker)
    assert (line["providerRequest"]["json"], line["providerResponse"]["json"]) == ({"seed": 1, "model": "n"}, ANSWER)


def test_arguments_without_their_names(logger: AsyncLogger, taker: LogTaker) -> None:
    def ask(model: str, messages: Any = None, /, api_key: str = "") -> Any:
        return ANSWER

    assert logger.wrap(ask)("m", [{"role": "user"}], "sk-x") is ANSWER
    assert told(logger, taker)["providerRequest"]["json"] == {"model": "m", "messages": [{"role": "user"}]}


async def test_a_coroutine_function_stays_one(logger: AsyncLogger, taker: LogTaker) -> None:
    async def ask(**arguments: Any) -> Any:
        return ANSWER

    def asks(**arguments: Any) -> Any:
        return ask(**arguments)

    wrapped = logger.wrap(ask)
    assert inspect.iscoroutinefunction(wrapped)
    assert await wrapped(model="m") is ANSWER
    assert await logger.wrap(asks)(model="m") is ANSWER
    assert await logger.aflush()
    assert [status_of(line) for taken in taker.taken for line in taken.lines] == [200, 200]


def stream(pieces: list[Any], error: BaseException | None = None) -> Callable[..., Iterator[Any]]:
    def ask(**arguments: Any) -> Iterator[Any]:
        yield from pieces
        if error is not None:
            raise error

    return ask


def streaming(pieces: list[Any], error: BaseException | None = None) -> Callable[..., AsyncIterator[Any]]:
    async def ask(**arguments: Any) -> AsyncIterator[Any]:
        for piece in pieces:
            yield piece
        if error is not None:
            raise error

    return ask


def test_a_stream_passes_as_it_is(logger: AsyncLogger, taker: LogTaker) -> None:
    found = logger.wrap(stream(PIECES))(model="m", stream=True)
    first = next(found)
    assert first is PIECES[0]
    assert inspect.isgenerator(found)  # by its class: it is what it stands for
    assert logger.flush(30)
    assert taker.taken == []  # it is told of at its end
    assert [first, *found] == PIECES
    line = told(logger, taker)
    assert (pieces_of(line), status_of(line)) == (PIECES, 200)
    assert line["timing"]["timeToFirstToken"] >= 0


async def test_an_async_stream_passes_as_it_is(logger: AsyncLogger, taker: LogTaker) -> None:
    found = logger.wrap(streaming(PIECES))(model="m", stream=True)
    assert [piece async for piece in found] == PIECES
    assert await logger.aflush()
    assert pieces_of(told(logger, taker)) == PIECES


class Either:
    """A stream that is read in both ways, as LiteLLM's are."""

    def __init__(self) -> None:
        self.pieces = iter(PIECES)

    def __iter__(self) -> "Either":
        return self

    __aiter__ = __iter__

    def __next__(self) -> Any:
        return next(self.pieces)

    async def __anext__(self) -> Any:
        for piece in self.pieces:
            return piece
        raise StopAsyncIteration


async def test_a_stream_that_may_be_read_in_both_ways(logger: AsyncLogger, taker: LogTaker) -> None:
    ask = logger.wrap(lambda **arguments: Either())
    assert list(ask(model="m")) == [piece async for piece in ask(model="m")] == PIECES
    assert await logger.aflush()
    assert [pieces_of(line) for taken in taker.taken for line in taken.lines] == [PIECES, PIECES]


LEFT = {"in the middle": (1, -3), "after its last word": (3, 200), "before its first": (0, -3)}


@pytest.mark.parametrize(("read", "status"), LEFT.values(), ids=LEFT)
def test_a_stream_that_is_left(read: int, status: int, logger: AsyncLogger, taker: LogTaker) -> None:
    with closing(logger.wrap(stream(PIECES))(model="m")) as found:
        for _ in range(read):
            next(found)
    assert status_of(told(logger, taker)) == status


async def test_an_async_stream_that_is_left(logger: AsyncLogger, taker: LogTaker) -> None:
    async with aclosing(logger.wrap(streaming(PIECES))(model="m")) as found:  # type: ignore[type-var]
        await anext(found)
    assert await logger.aflush()
    line = told(logger, taker)
    assert (status_of(line), pieces_of(line)) == (-3, PIECES[:1])


def test_a_stream_that_nobody_holds(logger: AsyncLogger, taker: LogTaker) -> None:
    next(logger.wrap(stream(PIECES))(model="m"))
    gc.collect()
    assert status_of(told(logger, taker)) == -3


def test_a_stream_that_breaks_off(logger: AsyncLogger, taker: LogTaker) -> None:
    with pytest.raises(RefusedByProvider):
        list(logger.wrap(stream(PIECES[:1], RefusedByProvider(529, {"error": {"type": "overloaded_error"}})))(model="m"))
    line = told(logger, taker)
    assert (status_of(line), pieces_of(line)) == (529, [PIECES[0], {"error": {"type": "overloaded_error"}}])


async def test_an_async_stream_that_is_cancelled(logger: AsyncLogger, taker: LogTaker) -> None:
    waiting = asyncio.Event()

    async def ask(**arguments: Any) -> AsyncIterator[Any]:
        yield PIECES[0]
        waiting.set()
        await asyncio.Event().wait()

    async def read() -> None:
        async for _ in logger.wrap(ask)(model="m"):
            pass

    task = asyncio.create_task(read())
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await logger.aflush()
    assert status_of(told(logger, taker)) == -3


def test_of_a_stream_without_end_the_beginning_and_the_last_words_are_kept(logger: AsyncLogger, taker: LogTaker) -> None:
    for _ in logger.wrap(stream([{"n": number} for number in range(20_100)]))(model="m"):
        pass
    kept = [piece["n"] for piece in pieces_of(told(logger, taker))]
    assert kept == [*range(20_000), *range(20_084, 20_100)]


ODD: dict[str, Callable[[AsyncLogger], Any]] = {
    "a hostile answer": lambda logger: logger.log(Hostile(), request=Hostile()),
    "hostile answers within": lambda logger: logger.log({"a": Hostile()}, request={"a": HostileMapping()}),
    "a hostile model": lambda logger: logger.log(HostileModel()),
    "hostile properties": lambda logger: logger.log({}, properties=HostileMapping(), headers=HostileMapping()),
    "hostile times": lambda logger: logger.log({}, started_at=Hostile(), ended_at=Hostile(), ttft_ms=Hostile(), cost_usd=Hostile()),  # type: ignore[arg-type]
    "hostile names": lambda logger: logger.log({}, user_id=Hostile(), session_id=Hostile(), provider=Hostile(), url=Hostile()),  # type: ignore[arg-type]
    "a hostile id": lambda logger: logger.log({}, request_id=Hostile()),  # type: ignore[arg-type]
    "a circle": lambda logger: logger.log(circle(), request=circle(), properties=circle()),
    "a stream": lambda logger: logger.log(iter([])),
    "feedback of nothing": lambda logger: logger.feedback(Hostile(), Hostile()),  # type: ignore[arg-type]
    "scores of nothing": lambda logger: logger.score(None, Hostile()),  # type: ignore[arg-type]
    "scores that are hostile": lambda logger: logger.score("no id", HostileMapping()),
    "scores that are none": lambda logger: logger.score(logger.log({}), {"a": "high", "b": float("inf")}),  # type: ignore[dict-item]
    "a time that is none": lambda logger: (logger.flush(Hostile()), logger.flush("soon"), logger.flush(1e300), logger.flush(float("nan"))),  # type: ignore[arg-type]
    "a function that is none": lambda logger: logger.wrap(None),  # type: ignore[type-var]
    "a hostile function": lambda logger: logger.wrap(HostileFunction()),
    "a stream for an answer": lambda logger: logger.call({}).response(iter([])),
    "a hostile result": lambda logger: logger.wrap(lambda **arguments: Hostile())(model=Hostile()),
    "a hostile block": lambda logger: logger.call(Hostile(), properties=HostileMapping()).response(Hostile()),
}


@pytest.mark.parametrize("act", ODD.values(), ids=ODD)
def test_nothing_of_it_raises_and_the_next_call_is_told(act: Callable[[AsyncLogger], Any], logger: AsyncLogger, taker: LogTaker) -> None:
    act(logger)
    logger.log(ANSWER, user_id="next")
    assert logger.flush(30)
    users = [line["providerRequest"]["meta"].get("Helicone-User-Id") for taken in taker.batches for line in taken.lines]
    assert users[-1] == "next"


def test_what_is_wrong_is_said_once_and_counted(logger: AsyncLogger, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        logger.log({}, user_id=object())  # type: ignore[arg-type]
    assert logger.flush(30)
    assert (logger.misused, logger.sent) == (3, 3)
    (record,) = caplog.records
    assert (record.levelno, record.getMessage().startswith("user_id: must be text; this is object")) == (logging.WARNING, True)


def test_handlers_of_the_application_may_fail(logger: AsyncLogger) -> None:
    class Failing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError

    handler = Failing()
    logging.getLogger("heliograph").addHandler(handler)
    try:
        logger.score("no id", None)  # type: ignore[arg-type]
    finally:
        logging.getLogger("heliograph").removeHandler(handler)
    assert logger.misused == 1
