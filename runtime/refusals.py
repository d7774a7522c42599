"""The browser guard, in the form that the proxy asks for."""

from collections.abc import Callable
from functools import partial

from ingress.errors import BadRequest, CallFailed
from ingress.exchange import Exchange, Handler
from ingress.heads import RequestHead
from runtime.guard import Guard, Refusal, preflight, readable_by


class MisdirectedHost(BadRequest):
    """The Host header names somebody else."""

    code: str = "misdirected_host"
    status: int = 421


class ForeignOrigin(BadRequest):
    """A web page of another site."""

    code: str = "foreign_origin"
    status: int = 403


class UnsupportedMediaType(BadRequest):
    """A page's write that is no JSON."""

    code: str = "unsupported_media_type"
    status: int = 415


KINDS: dict[str, type[BadRequest]] = {kind.code: kind for kind in (MisdirectedHost, ForeignOrigin, UnsupportedMediaType)}


def refusing(guard: Guard) -> Callable[[bytes, RequestHead], CallFailed | None]:
    """The guard over proxied calls. Nearly all of them have a known Host and come from no browser: that is one look-up."""

    def judge(method: bytes, head: RequestHead) -> CallFailed | None:
        if head.origin is None and head.fetch_site is None and (not head.host or guard.host_is_ours(head.host)):
            return None
        kind = head.content_type.encode("latin-1") if head.content_type else None
        refusal = guard.judge(method.decode("latin-1"), head.host, origin=head.origin, site=head.fetch_site, content_type=kind)
        return None if refusal is None else told(refusal)

    return judge


def with_cors(handle: Handler, guard: Guard) -> Handler:
    """Proxied calls for pages of the allowed origins: preflights are answered here, answers gain the headers that let a page read them."""

    async def handling(exchange: Exchange) -> None:
        found = dict(exchange.headers)
        origin = found.get(b"origin")
        if origin is not None and guard.allows(origin):
            exchange.amend = partial(readable_by, origin)
            if exchange.method == b"OPTIONS" and b"access-control-request-method" in found:
                exchange.answer(204, preflight(found), b"")
                return
        await handle(exchange)

    return handling


def told(refusal: Refusal) -> BadRequest:
    return KINDS[refusal.code](f"{refusal.message} {refusal.fix}", field=refusal.field)
