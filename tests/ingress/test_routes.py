"""Where requests go."""

import pytest

from ingress.config import IngressConfig
from ingress.errors import BadRequest, BadTarget, UnknownRoute
from ingress.providers import ORIGINS, provider_at
from ingress.routes import REMEMBERED, Route, Router

LOCAL = b"localhost:8787"


@pytest.fixture
def router() -> Router:
    return Router(
        IngressConfig(
            upstreams={"groq": "http://127.0.0.1:9000", "azure": "https://me.openai.azure.com", "mine": "http://10.0.0.1:8000/llm/"}
        )
    )


def url(route: Route) -> str:
    return str(route.place.origin) + route.target.decode()


ROUTES = {
    "OpenAI by path": ("/v1/chat/completions", LOCAL, False, "openai", "https://api.openai.com/v1/chat/completions"),
    "OpenAI, the root": ("/v1", LOCAL, False, "openai", "https://api.openai.com/v1"),
    "OpenAI, with a query": ("/v1?a=/b", LOCAL, False, "openai", "https://api.openai.com/v1?a=/b"),
    "Anthropic by path": ("/v1/messages", LOCAL, False, "anthropic", "https://api.anthropic.com/v1/messages"),
    "Anthropic, counting": (
        "/v1/messages/count_tokens?beta=true",
        LOCAL,
        False,
        "anthropic",
        "https://api.anthropic.com/v1/messages/count_tokens?beta=true",
    ),
    "Anthropic by header": ("/v1/models", LOCAL, True, "anthropic", "https://api.anthropic.com/v1/models"),
    "a provider": ("/openai/v1/models", LOCAL, False, "openai", "https://api.openai.com/v1/models"),
    "a provider alone": ("/anthropic", LOCAL, False, "anthropic", "https://api.anthropic.com/"),
    "a provider and a query": ("/anthropic?x=1", LOCAL, False, "anthropic", "https://api.anthropic.com/?x=1"),
    "a provider's own messages": ("/openai/v1/messages", LOCAL, True, "openai", "https://api.openai.com/v1/messages"),
    "another name": ("/xai/v1/chat/completions", LOCAL, False, "x", "https://api.x.ai/v1/chat/completions"),
    "a configured provider": ("/groq/openai/v1/models", LOCAL, False, "groq", "http://127.0.0.1:9000/openai/v1/models"),
    "a provider of one's own": ("/mine/v1/chat", LOCAL, False, "mine", "http://10.0.0.1:8000/llm/v1/chat"),
    "Azure, configured": (
        "/azure/openai/deployments/d/chat",
        LOCAL,
        False,
        "azure",
        "https://me.openai.azure.com/openai/deployments/d/chat",
    ),
    "raw paths stay raw": ("/openai/a%2Fb//c/%2e%2e/?q=%20;", LOCAL, False, "openai", "https://api.openai.com/a%2Fb//c/%2e%2e/?q=%20;"),
    "the Host oai": ("/v1/x", b"oai.helicone.ai", False, "openai", "https://api.openai.com/v1/x"),
    "the Host anthropic": ("/v1/x", b"anthropic.localhost:8787", False, "anthropic", "https://api.anthropic.com/v1/x"),
    "the Host groq, in capitals": ("/openai/v1/models", b"Groq.example", False, "groq", "http://127.0.0.1:9000/openai/v1/models"),
    "a Host beside the list": ("/v1/x", b"oai2.helicone.ai", False, "openai", "https://api.openai.com/v1/x"),
    "a Host of one label": ("/v1/x", b"groq", False, "openai", "https://api.openai.com/v1/x"),
    "an address": ("/v1/x", b"127.0.0.1:8787", False, "openai", "https://api.openai.com/v1/x"),
}


@pytest.mark.parametrize(("path", "host", "anthropic", "provider", "expected"), ROUTES.values(), ids=ROUTES)
def test_routes(router: Router, path: str, host: bytes, anthropic: bool, provider: str, expected: str) -> None:
    for _ in range(2):  # decided, then remembered
        route = router.route(path.encode(), host, anthropic=anthropic)
        assert (route.place.provider, url(route)) == (provider, expected)
        assert route.place.trusted


@pytest.mark.parametrize("rest", ["/../b", "/x/..", "/%2e%2E/b", "/.%2e/b", "/a%2f..%2fb", "/./b", "/x\\..\\b", "/..?x=1"])
def test_below_an_address_nobody_leads_upwards(rest: str) -> None:
    router = Router(IngressConfig(upstreams={"groq": "http://h/tenant-a"}))
    with pytest.raises(BadRequest, match="upwards"):
        router.route(f"/groq{rest}".encode(), b"localhost", anthropic=False)
    assert url(router.route(b"/groq/v1/a..b/.x/x.?p=/../", b"localhost", anthropic=False)) == "http://h/tenant-a/v1/a..b/.x/x.?p=/../"


def test_every_provider_has_a_route(router: Router) -> None:
    for name, origin in ORIGINS.items():
        route = router.route(f"/{name}/v1/x".encode(), LOCAL, anthropic=False)
        assert route.target == b"/v1/x"
        assert name == "groq" or str(route.place.origin) == origin


@pytest.mark.parametrize("path", ["/nobody/v1/x", "/", "/favicon.ico", "/V1/x", "/openai.com/v1", "//v1/x", "*"])
def test_what_leads_nowhere_says_what_exists(router: Router, path: str) -> None:
    with pytest.raises(UnknownRoute, match=r"anthropic, azure, .*openai") as refused:
        router.route(path.encode(), LOCAL, anthropic=False)
    assert refused.value.status == 404


@pytest.mark.parametrize(("path", "host"), [("/v1/x", b"gateway.helicone.ai"), ("/gateway/v1/x", LOCAL)])
def test_a_gateway_needs_a_target(router: Router, path: str, host: bytes) -> None:
    with pytest.raises(BadRequest) as refused:
        router.route(path.encode(), host, anthropic=False)
    assert refused.value.field == "Helicone-Target-URL"


NAMED = {
    "an origin": ("https://api.groq.com", "/openai/v1/x", "groq", "https://api.groq.com/openai/v1/x"),
    "its path is dropped": ("https://api.groq.com/openai/v1", "/v1/x", "groq", "https://api.groq.com/v1/x"),
    "less /gateway": ("https://api.groq.com", "/gateway/v1/x", "groq", "https://api.groq.com/v1/x"),
    "less /gateway alone": ("https://api.groq.com", "/gateway?a=1", "groq", "https://api.groq.com/?a=1"),
    "and nothing else": ("https://api.groq.com", "/openai/v1/gateway/x", "groq", "https://api.groq.com/openai/v1/gateway/x"),
    "not less /gateways": ("https://api.groq.com", "/gateways/x", "groq", "https://api.groq.com/gateways/x"),
    "our own routes": ("https://api.groq.com", "/healthz", "groq", "https://api.groq.com/healthz"),
    "a port": ("http://llm.internal:8000", "/v1/x", "llm.internal", "http://llm.internal:8000/v1/x"),
    "user information goes": ("https://me:secret@host.example", "/v1/x", "host.example", "https://host.example/v1/x"),
    "Azure": ("https://me.openai.azure.com", "/openai/x", "azure", "https://me.openai.azure.com/openai/x"),
    "IPv6": ("http://[2001:db8::1]:80", "/x", "2001:db8::1", "http://[2001:db8::1]/x"),
}


@pytest.mark.parametrize(("target", "path", "provider", "expected"), NAMED.values(), ids=NAMED)
def test_named_targets(router: Router, target: str, path: str, provider: str, expected: str) -> None:
    route = router.route_to("Helicone-Target-URL", target, path.encode())
    assert (route.place.provider, url(route)) == (provider, expected)
    assert route.place.named


CONFIGURED = {
    "its origin": ("http://10.0.0.5:8000", "/v1/x", "openai", True),
    "the other dialect there": ("http://10.0.0.5:8000", "/v1/messages", "anthropic", True),
    "another port": ("http://10.0.0.5:8001", "/v1/x", "10.0.0.5", False),
    "one that has a path of its own": ("http://10.0.0.6", "/v1/x", "groq", False),
}


@pytest.mark.parametrize(("target", "path", "provider", "trusted"), CONFIGURED.values(), ids=CONFIGURED)
def test_a_named_target_that_the_operator_named_too(target: str, path: str, provider: str, *, trusted: bool) -> None:
    """It is called by its name, and may have a private address; beside a path of its own there may be what no caller is to reach."""
    upstreams = {"openai": "http://10.0.0.5:8000", "anthropic": "http://10.0.0.5:8000", "groq": "http://10.0.0.6/llm"}
    place = Router(IngressConfig(upstreams=upstreams)).route_to("Helicone-Target-URL", target, path.encode()).place
    assert (place.provider, place.trusted, place.named) == (provider, trusted, True)


@pytest.mark.parametrize(
    "target", ["", "not a url", "ftp://example.com", "api.openai.com", "https://", "http://h:99999", "http://h\\@x", "http://[::1"]
)
def test_targets_that_are_none(router: Router, target: str) -> None:
    with pytest.raises(BadTarget) as refused:
        router.route_to("Helicone-OpenAI-Api-Base", target, b"/v1/x")
    assert refused.value.field == "Helicone-OpenAI-Api-Base"
    assert "https://host" in str(refused.value)


def test_a_target_is_not_repeated_in_the_error(router: Router) -> None:
    with pytest.raises(BadTarget) as refused:
        router.route_to("Helicone-Target-URL", "http://me:s3cret@", b"/")
    assert "s3cret" not in str(refused.value)


def test_what_is_remembered_is_bounded(router: Router) -> None:
    for number in range(3 * REMEMBERED):
        router.route(b"/v1/x", b"h%d" % number, anthropic=False)
        router.route_to("Helicone-Target-URL", f"https://h{number}.example", b"/v1/x")
    router.route(b"/v1/x", b"h" * 60_000, anthropic=False)
    assert len(router._crossings) <= REMEMBERED
    assert len(router._named) <= REMEMBERED
    assert all(len(host) < 1_000 for host, _ in router._crossings)


def test_known_names_make_metric_labels_and_others_do_not(router: Router) -> None:
    assert router.route_to("h", "https://api.groq.com", b"/").place.known
    assert not router.route_to("h", "https://unheard.example", b"/").place.known


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("API.OpenAI.com", "openai"),
        ("api.openai.com.evil.example", "api.openai.com.evil.example"),
        ("bedrock-runtime.eu-west-1.amazonaws.com", "bedrock"),
        ("europe-west4-aiplatform.googleapis.com", "vertex"),
        ("localhost", "localhost"),
    ],
)
def test_providers_by_host(host: str, provider: str) -> None:
    assert provider_at(host) == provider


BAD_UPSTREAMS = {
    "no URL": {"openai": "nonsense"},
    "a route of ours": {"v1": "http://h"},
    "capitals": {"OpenAI": "http://h"},
    "a path": {"a/b": "http://h"},
}


@pytest.mark.parametrize("upstreams", BAD_UPSTREAMS.values(), ids=BAD_UPSTREAMS)
def test_upstreams_that_cannot_be(upstreams: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="upstream"):
        IngressConfig(upstreams=upstreams)
