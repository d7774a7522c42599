"""The browser guard, in the form that the proxy asks for."""

from collections.abc import Callable
from typing import ClassVar

from ingress.errors import BadRequest, CallFailed
from ingress.heads import RequestHead
from runtime.guard import Guard, Refusal


class MisdirectedHost(BadRequest):
    """The Host header names somebody else."""

    code: ClassVar[str] = "misdirected_host"
    status: ClassVar[int] = 421


class ForeignOrigin(BadRequest):
    """A web page of another site."""

    code: ClassVar[str] = "foreign_origin"
    status: ClassVar[int] = 403


class UnsupportedMediaType(BadRequest):
    """A page's write that is no JSON."""

    code: ClassVar[str] = "unsupported_media_type"
    status: ClassVar[int] = 415


KINDS: dict[str, type[BadRequest]] = {kind.code: kind for kind in (MisdirectedHost, ForeignOrigin, UnsupportedMediaType)}


def refusing(guard: Guard) -> Callable[[RequestHead], CallFailed | None]:
    """The guard over proxied calls. Nearly all of them have a known Host and come from no browser: that is one look-up."""

    def judge(head: RequestHead) -> CallFailed | None:
        if head.origin is None and head.fetch_site is None and (not head.host or guard.host_is_ours(head.host)):
            return None
        kind = head.content_type.encode("latin-1") if head.content_type else None
        refusal = guard.judge("POST", head.host, origin=head.origin, site=head.fetch_site, content_type=kind)
        return None if refusal is None else told(refusal)

    return judge


def told(refusal: Refusal) -> BadRequest:
    return KINDS[refusal.code](f"{refusal.message} {refusal.fix}", field=refusal.field)
