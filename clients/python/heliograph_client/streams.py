"""Streams that are read as before, piece by piece and at their own pace, while a call listens."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from heliograph_client.calls import Call


class Recorded:
    """Stands for a stream: whatever is asked of it that is not about reading, the stream itself answers, its class too."""

    def __init__(self, call: Call, stream: Any) -> None:
        self._call, self._stream = call, stream

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """`isinstance` is answered as by the stream."""
        return type(self._stream)

    def __getattr__(self, name: str) -> Any:
        if name in {"_call", "_stream"}:  # it is not made yet: a copy, or one that failed
            raise AttributeError(name)
        return getattr(self._stream, name)

    def close(self) -> Any:
        """As the stream does, which may have to be awaited."""
        try:
            return self._stream.close()
        finally:
            self._call.leave()

    def aclose(self) -> Any:
        try:
            return self._stream.aclose()
        finally:
            self._call.leave()

    def __del__(self) -> None:
        call = self.__dict__.get("_call")
        if call is not None:
            call.leave()


class RecordedStream(Recorded):
    def __iter__(self) -> RecordedStream:
        return self

    def __next__(self) -> Any:
        try:
            piece = next(self._stream)
        except StopIteration:
            self._call.end()
            raise
        except BaseException as error:
            self._call.fail(error)
            raise
        self._call.chunk(piece)
        return piece

    def __enter__(self) -> RecordedStream:
        self._stream.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> Any:
        try:
            return self._stream.__exit__(kind, error, trace)
        finally:
            self._call.leave()


class RecordedAsyncStream(Recorded):
    def __aiter__(self) -> RecordedAsyncStream:
        return self

    async def __anext__(self) -> Any:
        try:
            piece = await self._stream.__anext__()
        except StopAsyncIteration:
            self._call.end()
            raise
        except BaseException as error:
            self._call.fail(error)
            raise
        self._call.chunk(piece)
        return piece

    async def __aenter__(self) -> RecordedAsyncStream:
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> Any:
        try:
            return await self._stream.__aexit__(kind, error, trace)
        finally:
            self._call.leave()


class RecordedEitherStream(RecordedStream, RecordedAsyncStream):
    """One that may be read in both ways. Source: LiteLLM 1.110, `CustomStreamWrapper`."""
