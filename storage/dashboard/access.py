"""Who looks at the dashboard: by the key of a session, or by one in a header, judged anew with every request."""

from urllib.parse import unquote, urlsplit

from fastapi import Request, Response
from starlette.datastructures import URL

from eventlog.admission import Admission
from eventlog.keys import Caller, NotAdmitted, Scope
from storage.dashboard.page import BASE
from storage.dashboard.session import LASTS_S, Sessions
from storage.refusal import Refusal, Refused

SESSION, VISIT = "heliograph-session", "heliograph-visit"
"""Cookies: who signed in; who is about to."""
TOKEN = "x-heliograph-token"  # noqa: S105 the name of a header
SIGN_IN = f"{BASE}/sign-in"


class SignInNeeded(Refused):
    """Nobody comes in here without a good key. `wrong` says what is wrong with the one there is, if any."""

    def __init__(self, wrong: str) -> None:
        super().__init__(Refusal(code="sign_in", message=wrong or "The session ended.", fix="Sign in again.", status=401))
        self.wrong = wrong


class Access:
    """Knows callers. `public_url`: where browsers find this server, which says whether cookies may only travel by https."""

    def __init__(self, sessions: Sessions, public_url: str | None) -> None:
        self._sessions = sessions
        self._public_url = public_url

    def caller(self, request: Request) -> Caller:
        """Who asks. Raises SignInNeeded, and Refused where a key is known and may not."""
        admission: Admission = request.app.state.admission
        key = self.key(request)
        try:
            return admission.known_caller(key, Scope.READ)
        except NotAdmitted as error:
            if error.status == 401:
                raise SignInNeeded(str(error) if key else "") from None
            raise Refused(_refusal(error)) from None

    def key(self, request: Request) -> str | None:
        """The key that the request comes with: in a header, or in its session."""
        said: str | None = request.app.state.presented(request.headers.raw)
        if said is not None:
            return said
        session = self._sessions.open(request.cookies.get(SESSION))
        return None if session is None else session.key

    def signed_in(self, request: Request, key: str) -> Caller:
        """Whose key this is. Raises Refused, also where anybody may come in: a wrong key is told."""
        admission: Admission = request.app.state.admission
        try:
            caller = admission.known_caller(key, Scope.READ)
        except NotAdmitted as error:
            raise Refused(_refusal(error)) from None
        if caller.key is None:
            raise Refused(_UNKNOWN)
        return caller

    def begin(self, request: Request, answer: Response, key: str) -> None:
        self._set(request, answer, SESSION, self._sessions.begin(key), LASTS_S)

    def end(self, request: Request, answer: Response) -> None:
        self._set(request, answer, SESSION, "", 0)

    def visit(self, request: Request, answer: Response, value: str) -> None:
        """Marks a browser that is about to sign in."""
        self._set(request, answer, VISIT, value, 3600)

    def token(self, request: Request, *, visit: str = "") -> str:
        """For the writes of the page that is answered."""
        return self._sessions.token(_bound(request) or visit)

    def demand_token(self, request: Request) -> None:
        """That a write comes from a page of ours. Raises Refused."""
        origin = request.headers.get("origin")
        site = request.headers.get("sec-fetch-site", "same-origin")
        foreign = site not in {"same-origin", "none"} or (origin is not None and urlsplit(origin).netloc != request.headers.get("host"))
        if foreign or not self._sessions.meant(request.headers.get(TOKEN), _bound(request)):
            raise Refused(_NOT_MEANT)

    def _set(self, request: Request, answer: Response, name: str, value: str, age_s: int) -> None:
        answer.set_cookie(name, value, max_age=age_s, path=BASE, httponly=True, samesite="lax", secure=self._by_https(request.url))

    def _by_https(self, url: URL) -> bool:
        return (self._public_url or "").startswith("https://") or url.scheme == "https"


def _bound(request: Request) -> str:
    """What a token is good with: the session; before there is one, the visit; where nobody signs in, nothing."""
    return request.cookies.get(SESSION) or request.cookies.get(VISIT) or ""


def local(said: str) -> str:
    """Where to go after signing in: a page of the dashboard, whatever was said."""
    parts = urlsplit(unquote(said))
    ours = parts.path == BASE or parts.path.startswith(f"{BASE}/")
    plain = not parts.scheme and not parts.netloc and "\\" not in said and all(letter.isprintable() for letter in said)
    return said if ours and plain and ".." not in parts.path and not parts.path.startswith(SIGN_IN) else BASE


def _refusal(error: NotAdmitted) -> Refusal:
    fix = "Sign in with a key that has the scope `read`." if error.status != 503 else "Try again in a moment."
    return Refusal(code=error.code, message=str(error), fix=fix, field="key", status=error.status)


_UNKNOWN = Refusal(
    code="key_unknown",
    message="This key is not known here.",
    fix="`heliograph keys list` shows those that are; `heliograph keys create NAME` makes one.",
    field="key",
    status=401,
)
_NOT_MEANT = Refusal(
    code="token_missing",
    message="This write did not come from a page of this dashboard, or the page is from before you signed in.",
    fix="Load the page again, and repeat it there.",
    status=403,
)
