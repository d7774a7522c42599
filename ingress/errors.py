"""What can go wrong between a client and a provider, named by who must act.

A `BadRequest` is the caller's: the answer names the header or field and the fix. An `UpstreamError` is the provider's or the
network's: `begun` says whether anything of an answer had come, and `retryable` whether the same request may be sent again. Both know
the status they are answered with, the outcome their call is written down with, and a stable `code`. Messages go to clients and to
the log: they never hold a body, a key, or a URL with either.
"""

from collections.abc import Sequence
from typing import ClassVar

from eventlog.events import Outcome
from eventlog.keys import NotAdmitted


class CallFailed(Exception):
    """A call that has no answer of the provider's own, or only part of one."""

    code: str = "failed"
    status: int = 502
    outcome: ClassVar[Outcome] = Outcome.REJECTED
    retryable: ClassVar[bool] = False
    field: str | None = None
    """The caller's header or field that this is about."""
    headers: Sequence[tuple[bytes, bytes]] = ()
    """What its answer says besides."""
    body: bytes | None = None
    """Its answer, where it is not told in the words of the caller's dialect."""


class BadRequest(CallFailed):
    """The caller must change something: `field` names what, the message says what is wrong and what would be right."""

    code: str = "bad_request"
    status: int = 400

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class BadDirective(BadRequest):
    """A `Helicone-…` header that cannot be understood."""

    code: str = "bad_directive"


class BadTarget(BadRequest):
    """A target that is no http or https URL."""

    code: str = "bad_target"


class TargetRefused(BadRequest):
    """A target whose address callers may not reach."""

    code: str = "target_refused"
    status: int = 403


class UnknownRoute(BadRequest):
    """A path that leads to no provider."""

    code: str = "unknown_route"
    status: int = 404


class KeyRefused(BadRequest):
    """A caller who may not, by its Heliograph key or for want of one."""

    def __init__(self, refusal: NotAdmitted) -> None:
        super().__init__(str(refusal), field="Helicone-Auth")
        self.status, self.code = refusal.status, refusal.code


class UpgradeUnsupported(BadRequest):
    """The client wants to leave HTTP/1.1 for a websocket or a tunnel."""

    code: str = "upgrade_unsupported"
    status: int = 501


class HeaderRefused(BadRequest):
    """A header that cannot be written on: a name that is no token, a value with CR, LF or NUL."""

    code: str = "bad_header"


class BodyTooLarge(BadRequest):
    """A body that would have to be kept at hand, and is too large for that."""

    code: str = "body_too_large"
    status: int = 413


class LogUnwritable(CallFailed):
    """Strict durability was asked for and the event log takes nothing; the provider was not called."""

    code: str = "log_unavailable"
    status: int = 503
    retryable: ClassVar[bool] = True


class UpstreamError(CallFailed):
    """The provider, or the way to it, failed."""

    code: str = "upstream_failed"

    def __init__(self, message: str, *, begun: bool = False) -> None:
        super().__init__(message)
        self.begun = begun
        """Something of an answer had come: the call cannot be made again, nor answered with an error of ours."""


class Unreachable(UpstreamError):
    """No connection: nothing was sent."""

    code: str = "upstream_unreachable"
    outcome: ClassVar[Outcome] = Outcome.UNREACHABLE
    retryable: ClassVar[bool] = True


class Unresolved(Unreachable):
    """The host name has no address."""

    code: str = "upstream_unresolved"


class Refused(Unreachable):
    """Nobody listens there, or the network does not lead there."""

    code: str = "upstream_refused"


class TlsFailed(Unreachable):
    """The other side speaks no TLS, or its certificate is not trusted."""

    code: str = "upstream_tls"
    retryable: ClassVar[bool] = False


class TimedOut(UpstreamError):
    """A time limit passed: connecting, waiting for the first byte, or between two pieces."""

    code: str = "upstream_timed_out"
    status: int = 504
    outcome: ClassVar[Outcome] = Outcome.TIMED_OUT
    retryable: ClassVar[bool] = True


class Interrupted(UpstreamError):
    """The provider took the request, or began an answer, and broke off; or what it sent is no HTTP."""

    code: str = "upstream_interrupted"
    outcome: ClassVar[Outcome] = Outcome.INTERRUPTED_BY_PROVIDER
    retryable: ClassVar[bool] = True


class Overloaded(UpstreamError):
    """Every connection to this origin is busy and the queue before them is full."""

    code: str = "overloaded"
    status: int = 503
    outcome: ClassVar[Outcome] = Outcome.UNREACHABLE
    retryable: ClassVar[bool] = True
