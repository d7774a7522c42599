"""Streams that are entered by `with`, and put their answer together themselves: `client.messages.stream(…)` and its like."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from heliograph_client.calls import Call
from heliograph_client.streams import Recorded, RecordedAsyncStream, RecordedStream

SO_FAR = ("current_message_snapshot", "current_completion_snapshot")
"""Where such a stream has its answer. Source: anthropic 2.12, `MessageStream`; openai 3.54, `ChatCompletionStream`."""


class RecordedManager(Recorded):
    def __enter__(self) -> Any:
        try:
            entered = self._stream.__enter__()
        except BaseException as error:
            self._call.fail(error)
            raise
        self._call.listens_to(lambda: _so_far(entered))
        return RecordedStream(self._call, entered) if hasattr(type(entered), "__next__") else entered

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> Any:
        try:
            return self._stream.__exit__(kind, error, trace)
        finally:
            _ends(self._call, error)


class RecordedAsyncManager(Recorded):
    async def __aenter__(self) -> Any:
        try:
            entered = await self._stream.__aenter__()
        except BaseException as error:
            self._call.fail(error)
            raise
        self._call.listens_to(lambda: _so_far(entered))
        return RecordedAsyncStream(self._call, entered) if hasattr(type(entered), "__anext__") else entered

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> Any:
        try:
            return await self._stream.__aexit__(kind, error, trace)
        finally:
            _ends(self._call, error)


def _so_far(entered: Any) -> Any:
    """The answer, as far as it came; None where there is none, or the stream does not keep it."""
    for name in SO_FAR:
        try:
            return getattr(entered, name)
        except Exception:  # noqa: BLE001, S112 another kind of stream, or one that has not begun
            continue
    return None


def _ends(call: Call, error: BaseException | None) -> None:
    if error is not None and not call.is_whole():
        call.fail(error)
    elif error is None and call.is_empty():
        call.forget("cannot be told: its stream was not read piece by piece")
    else:
        call.leave()
