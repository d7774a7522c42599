"""A function that calls a model, and the same function with its calls told of."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Callable, Mapping, TypeVar, cast

from heliograph_client.calls import Call
from heliograph_client.managers import RecordedAsyncManager, RecordedManager
from heliograph_client.streams import RecordedAsyncStream, RecordedEitherStream, RecordedStream

F = TypeVar("F", bound=Callable[..., Any])
Begin = Callable[[Any], Call]
"""A call with these arguments begins."""


def recorded(function: F, begin: Begin) -> F:
    """Answers, waits, streams and raises as `function` does."""
    names = _names(function)
    if inspect.iscoroutinefunction(function):

        async def call_and_wait(*args: Any, **kwargs: Any) -> Any:
            return await _answered(begin(_asked(names, args, kwargs)), function(*args, **kwargs))

        return cast(F, functools.wraps(function)(call_and_wait))

    def call_it(*args: Any, **kwargs: Any) -> Any:
        call = begin(_asked(names, args, kwargs))
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            call.fail(error)
            raise
        return _observed(call, result)

    return cast(F, functools.wraps(function)(call_it))


def base_url_of(function: object) -> str | None:
    """Of the client whose method it is: openai's and anthropic's resources keep theirs."""
    try:
        found = getattr(getattr(getattr(function, "__self__", None), "_client", None), "base_url", None)
        return None if found is None else str(found)
    except Exception:  # noqa: BLE001 another client's own code
        return None


def _names(function: Callable[..., Any]) -> tuple[str, ...]:
    """Of arguments that may be given without them."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ()
    return tuple(each.name for each in found if each.kind in {each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD})


def _asked(names: tuple[str, ...], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The request: arguments by name. A dict that stands first is a body."""
    if not args:
        return kwargs
    body = args[0] if type(args[0]) is dict else {}
    return {**body, **{name: value for name, value in zip(names, args) if value is not body}, **kwargs}


async def _answered(call: Call, waiting: Any) -> Any:
    try:
        result = await waiting
    except BaseException as error:
        call.fail(error)
        raise
    return _observed(call, result)


def _observed(call: Call, result: Any) -> Any:
    """The result, or what stands for it."""
    kind = type(result)
    if hasattr(kind, "__anext__"):
        return (RecordedEitherStream if hasattr(kind, "__next__") else RecordedAsyncStream)(call, result)
    if hasattr(kind, "__next__"):
        return RecordedStream(call, result)
    if hasattr(kind, "__await__"):
        return _answered(call, result)
    if hasattr(kind, "__aenter__"):
        return RecordedAsyncManager(call, result)
    if hasattr(kind, "__enter__"):
        return RecordedManager(call, result)
    call.response(result)
    call.end()
    return result
