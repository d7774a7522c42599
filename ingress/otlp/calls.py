"""From a span to a call as its caller tells of it, and the id by which the same span is the same call."""

from hashlib import sha256

from eventlog.events import CallId, Organization, Source
from ingress.async_log import JSON, LONGEST_TTFT_MS, NAME_CHARACTERS, URL_CHARACTERS, Headers, Logged, Times
from ingress.async_log_events import CUSTOM
from ingress.otlp.bodies import bodies_of_call, bodies_of_step, model_asked
from ingress.otlp.kinds import Kind
from ingress.otlp.said import Said
from ingress.otlp.spans import Span
from ingress.otlp.told import headers_of
from ingress.otlp.tree import Tree, name_of
from ingress.providers import provider_at
from ingress.recording import call_id_of
from ingress.upstream import Origin

_FIRST_PIECES = frozenset(
    {"llm.content.completion.chunk", "gen_ai.content.completion.chunk", "First Token Stream Event", "ai.stream.firstChunk"}
)
"""Events that tell of a piece of the answer: OpenLLMetry's, OpenInference's, the AI SDK's."""

_PROVIDERS = {
    "aws": "bedrock",
    "aws.bedrock": "bedrock",
    "aws_bedrock": "bedrock",
    "az.ai.inference": "azure",
    "az.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "azure_openai": "azure",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "vertex",
    "gemini": "google",
    "vertex_ai": "vertex",
    "vertexai": "vertex",
    "mistral_ai": "mistral",
    "mistralai": "mistral",
    "together_ai": "together",
    "togetherai": "together",
    "xai": "x",
    "x_ai": "x",
}
"""The names of providers in the conventions, where they are other ones than here."""
_FRAMEWORKS = frozenset({"langchain", "langgraph", "crewai", "llamaindex", "haystack", "ai_sdk", "unknown", "_other"})


def logged_of(span: Span, kind: Kind, tree: Tree, request: Headers) -> Logged:
    """Raises BadLog."""
    headers, came_from = headers_of(span, kind, tree.path_of(span, kind), request)
    name = name_of(span, kind)[:NAME_CHARACTERS]
    bodies = bodies_of_step(span, kind, name) if kind.asked is None else bodies_of_call(span, kind.asked)
    said = Said(span.attributes)
    return Logged(
        url=(said.text("url.full", "http.url") or span.name)[:URL_CHARACTERS] or None,
        request=bodies.request,
        response=bodies.response,
        content_type=JSON,
        status=bodies.status,
        times=Times(span.began, span.ended, _ttft_ms(span, said)),
        headers=headers,
        from_meta=came_from,
        provider=CUSTOM if kind.asked is None else provider_of(said),
        step=kind.step,
        name=name,
        model=model_asked(said),
        countable=bodies.words,
        source=Source.OTLP,
        traceparent=f"00-{span.trace_id}-{span.span_id}-01",
    )


def provider_of(said: Said) -> str:
    """Who answers at the address that is named, where that is somebody we know: one SDK speaks to many. Else who is named."""
    address = _host(said.text("gen_ai.openai.api_base", "gen_ai.request.base_url")) or said.text("server.address")
    if address is not None and (known := provider_at(address)) != address.lower().rstrip("."):
        return known
    named = (said.text("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system") or "").lower().removesuffix(".chat")
    if not named or named in _FRAMEWORKS:
        return address or CUSTOM
    return _PROVIDERS.get(named, named)[:NAME_CHARACTERS]


def _host(url: str | None) -> str | None:
    if url is None:
        return None
    try:
        return Origin.parse(url)[0].host
    except ValueError:
        return None


def _ttft_ms(span: Span, said: Said) -> float | None:
    told_s = said.number("gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token")
    if told_s is None:
        first = min((event.at for event in span.events if event.name in _FIRST_PIECES and event.at >= span.began), default=None)
        told_s = None if first is None else first - span.began
    found = None if told_s is None else told_s * 1000
    return found if found is not None and 0 <= found <= LONGEST_TTFT_MS else None


def span_call_id(organization: Organization, span: Span) -> CallId:
    """The same for the same span, however often it is sent: to the digits that are drawn for other calls, those of its ids' digest."""
    digest = sha256(f"{organization}\0{span.trace_id}\0{span.span_id}".encode()).hexdigest()
    return call_id_of(span.began, digest)
