"""The browser guard, in the form that the proxy asks for."""

from collections.abc import Callable

from ingress.errors import CallFailed
from ingress.heads import RequestHead
from runtime.guard import Guard


def refusing(guard: Guard) -> Callable[[RequestHead], CallFailed | None]:
    raise NotImplementedError
