"""How to send what a page would show, where nothing did: examples to paste, with the address by which the viewer reaches Heliograph."""

from collections.abc import Mapping

from storage.dashboard.config import DashboardConfig
from storage.dashboard.page import Asking

_CURL = """\
curl {proxy}/v1/chat/completions \\
  -H "Content-Type: application/json" \\
  -H "Authorization: Bearer $OPENAI_API_KEY" \\{auth}
{headers}
  -d '{{"model": "gpt-4o-mini", "messages": [{{"role": "user", "content": "Hello!"}}]}}'"""
_PYTHON = """\
client.chat.completions.create(
    model="gpt-4o-mini",
    messages=[{{"role": "user", "content": "Hello!"}}],
    extra_headers={{
{headers}
    }},
)"""
_RATING = """\
curl -X POST {proxy}/v1/request/$HELICONE_ID/feedback \\
  -H "Content-Type: application/json" \\{auth}
  -d '{{"rating": true}}'"""
_SCORES = """\
curl -X POST {proxy}/v1/request/$HELICONE_ID/score \\
  -H "Content-Type: application/json" \\{auth}
  -d '{{"scores": {{"helpfulness": 85}}}}'"""

SESSION = {
    "Helicone-Session-Id": "5f0c6b1e-trip-42",
    "Helicone-Session-Name": "Trip planner",
    "Helicone-Session-Path": "/plan/flights",
}
USER = {"Helicone-User-Id": "ada@example.com"}
PROPERTY = {"Helicone-Property-Feature": "chat", "Helicone-Property-Plan": "pro"}


def with_headers(asking: Asking, headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """A call that says these headers."""
    auth = "" if asking.request.app.state.admission.open else '\n  -H "Helicone-Auth: Bearer $HELIOGRAPH_KEY" \\'
    in_curl = "\n".join(f'  -H "{name}: {said}" \\' for name, said in headers.items())
    in_python = "\n".join(f'        "{name}": "{said}",' for name, said in headers.items())
    proxy = _at(asking, _config(asking).proxy_port)
    return [("curl", _CURL.format(proxy=proxy, auth=auth, headers=in_curl)), ("Python", _PYTHON.format(headers=in_python))]


def with_feedback(asking: Asking) -> list[tuple[str, str]]:
    """A rating, and scores, of a call that was answered with `Helicone-Id`."""
    auth = "" if asking.request.app.state.admission.open else '\n  -H "Authorization: Bearer $HELIOGRAPH_KEY" \\'
    proxy = _at(asking, _config(asking).proxy_port)
    return [("A rating", _RATING.format(proxy=proxy, auth=auth)), ("Scores", _SCORES.format(proxy=proxy, auth=auth))]


def _config(asking: Asking) -> DashboardConfig:
    config: DashboardConfig = asking.request.app.state.dashboard
    return config


def _at(asking: Asking, port: int) -> str:
    host = asking.request.url.hostname or "localhost"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
