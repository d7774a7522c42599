"""Who plays in a made-up history: the models, what they are used for, and how each of them is."""

from msgspec import Struct

OPENAI, ANTHROPIC, GOOGLE = "https://api.openai.com", "https://api.anthropic.com", "https://generativelanguage.googleapis.com"
OWN_HOST = "gpu.internal"
CHAT, RESPONSES, EMBEDDINGS, MESSAGES, GEMINI = (
    *("openai.chat", "openai.responses", "openai.embeddings"),
    *("anthropic.messages", "google.gemini"),
)


class Door(Struct, frozen=True):
    """Where models of one kind are called. The paths may have `{model}` in them."""

    provider: str
    dialect: str
    origin: str
    path: str
    streams_at: str | None = None
    """Where a stream has a path of its own."""


AT_CHAT = Door("openai", CHAT, OPENAI, "/v1/chat/completions")
AT_RESPONSES = Door("openai", RESPONSES, OPENAI, "/v1/responses")
AT_EMBEDDINGS = Door("openai", EMBEDDINGS, OPENAI, "/v1/embeddings")
AT_MESSAGES = Door("anthropic", MESSAGES, ANTHROPIC, "/v1/messages")
AT_GEMINI = Door(
    *("google", GEMINI, GOOGLE),
    path="/v1beta/models/{model}:generateContent",
    streams_at="/v1beta/models/{model}:streamGenerateContent?alt=sse",
)
AT_HOME = Door(OWN_HOST, CHAT, f"http://{OWN_HOST}:8000", "/v1/chat/completions")


class Model(Struct, frozen=True):
    """A model, and how it is."""

    door: Door
    name: str
    """As applications ask for it."""
    dated: str | None = None
    """What the provider adds to the name in its answer."""
    ttft_ms: float = 400
    tokens_per_s: float = 0
    reasons: float = 0.0
    """Tokens of thought for each token that is said; 0 where none are counted."""
    words: float = 1.0
    """How much it says, compared with others."""
    good: float = 0.86
    """How often people like what it says."""

    @property
    def answers_as(self) -> str:
        return self.name if self.dated is None else f"{self.name}-{self.dated}"

    @property
    def provider(self) -> str:
        return self.door.provider

    @property
    def dialect(self) -> str:
        return self.door.dialect

    @property
    def origin(self) -> str:
        return self.door.origin

    @property
    def path(self) -> str:
        return self.door.path.replace("{model}", self.name)

    @property
    def streams_at(self) -> str:
        return (self.door.streams_at or self.door.path).replace("{model}", self.name)

    @property
    def asked_as(self) -> str | None:
        """The model in the request's body: Gemini's callers name it in the path."""
        return None if self.dialect == GEMINI else self.name


MODELS: tuple[Model, ...] = (
    Model(AT_CHAT, "gpt-4o", "2024-08-06", ttft_ms=420, tokens_per_s=78, good=0.88),
    Model(AT_CHAT, "gpt-5.1", "2025-11-13", ttft_ms=510, tokens_per_s=92, words=1.35, good=0.71),
    Model(AT_CHAT, "gpt-4o-mini", "2024-07-18", ttft_ms=290, tokens_per_s=95, good=0.82),
    Model(AT_CHAT, "gpt-4.1-mini", "2025-04-14", ttft_ms=310, tokens_per_s=105, good=0.85),
    Model(AT_RESPONSES, "gpt-5-mini", "2025-08-07", ttft_ms=620, tokens_per_s=120, reasons=1.4),
    Model(AT_RESPONSES, "o4-mini", "2025-04-16", ttft_ms=700, tokens_per_s=110, reasons=2.6, good=0.89),
    Model(AT_EMBEDDINGS, "text-embedding-3-small", ttft_ms=85),
    Model(AT_MESSAGES, "claude-sonnet-4-5", "20250929", ttft_ms=780, tokens_per_s=66, words=1.2, good=0.92),
    Model(AT_MESSAGES, "claude-haiku-4-5", "20251001", ttft_ms=390, tokens_per_s=140, good=0.87),
    Model(AT_MESSAGES, "claude-opus-4-5", "20251101", ttft_ms=1150, tokens_per_s=52, words=1.3, good=0.95),
    Model(AT_GEMINI, "gemini-2.5-flash", ttft_ms=340, tokens_per_s=180, reasons=0.5, good=0.84),
    Model(AT_GEMINI, "gemini-2.5-pro", ttft_ms=1300, tokens_per_s=95, reasons=1.8, good=0.9),
    Model(AT_HOME, "llama-3.3-70b-instruct", ttft_ms=180, tokens_per_s=38, good=0.78),
)
NUMBER = {model.name: at for at, model in enumerate(MODELS)}

REPLACED, REPLACEMENT = NUMBER["gpt-4o"], NUMBER["gpt-5.1"]
"""Midway the one takes the place of the other, and people like its answers less."""
FALLBACK = NUMBER["gpt-4o-mini"]
"""Who answers where Anthropic does not."""
UNLUCKY = "anthropic"
"""The provider with an incident."""


class Feature(Struct, frozen=True, kw_only=True):
    """One thing that the made-up company does with models."""

    name: str
    share: float
    """Of all calls."""
    models: dict[str, float]
    prompt: float
    """Tokens of a usual prompt."""
    completion: float
    """Tokens of a usual answer."""
    streams: float = 0.0
    prompt_id: str | None = None
    session: str | None = None
    """The name of its sessions; None where its calls stand alone."""
    paths: tuple[str, ...] = ()
    """Of a session's calls, in the order of the work."""
    size: float = 0.0
    """Calls of a usual session."""
    pause_s: float = 1.0
    """Between an answer and the next call."""
    cached: float = 0.0
    """How often the cache has the answer."""
    falls_back: bool = False
    tools: float = 0.0
    """How often the answer is a tool call."""


FEATURES: tuple[Feature, ...] = (
    Feature(
        name="support-chat",
        share=0.22,
        models={"gpt-4o": 0.45, "claude-sonnet-4-5": 0.3, "claude-haiku-4-5": 0.15, "gpt-4o-mini": 0.1},
        prompt=1400,
        completion=210,
        streams=0.92,
        prompt_id="support-answer",
        session="Support conversation",
        paths=("/conversation", "/conversation/turn", "/conversation/turn/lookup", "/conversation/turn/answer", "/conversation/summary"),
        size=6,
        pause_s=38,
        falls_back=True,
        tools=0.18,
    ),
    Feature(
        name="research-agent",
        share=0.17,
        models={"claude-opus-4-5": 0.12, "claude-sonnet-4-5": 0.38, "o4-mini": 0.2, "gemini-2.5-pro": 0.3},
        prompt=5200,
        completion=480,
        streams=0.25,
        prompt_id="research-step",
        session="Research",
        paths=(
            *("/research", "/research/plan", "/research/search", "/research/search/web", "/research/search/rank", "/research/read"),
            *("/research/read/extract", "/research/write", "/research/write/draft", "/research/write/review"),
        ),
        size=16,
        pause_s=1.5,
        falls_back=True,
        tools=0.55,
    ),
    Feature(
        name="code-review",
        share=0.09,
        models={"claude-sonnet-4-5": 0.55, "gpt-5-mini": 0.3, "o4-mini": 0.15},
        prompt=6800,
        completion=420,
        streams=0.3,
        prompt_id="review-diff",
        session="Code review",
        paths=("/review", "/review/files", "/review/files/diff", "/review/files/comment", "/review/summary"),
        size=8,
        pause_s=1.2,
        tools=0.2,
    ),
    Feature(
        name="classify-ticket",
        share=0.16,
        models={"gpt-4o-mini": 0.5, "gpt-4.1-mini": 0.3, "llama-3.3-70b-instruct": 0.2},
        prompt=420,
        completion=14,
        prompt_id="classify-ticket",
        cached=0.16,
    ),
    Feature(
        name="semantic-search",
        share=0.14,
        models={"text-embedding-3-small": 1.0},
        prompt=60,
        completion=0,
        cached=0.12,
    ),
    Feature(
        name="summarise",
        share=0.1,
        models={"gemini-2.5-flash": 0.6, "gpt-4.1-mini": 0.25, "llama-3.3-70b-instruct": 0.15},
        prompt=3600,
        completion=260,
        streams=0.4,
        prompt_id="summarise-document",
        cached=0.09,
    ),
    Feature(
        name="translate",
        share=0.07,
        models={"gemini-2.5-flash": 0.5, "claude-haiku-4-5": 0.3, "gpt-4o": 0.2},
        prompt=520,
        completion=380,
        streams=0.6,
        prompt_id="translate-text",
        cached=0.11,
    ),
    Feature(
        name="invoice-extraction",
        share=0.05,
        models={"gpt-4o": 0.7, "gemini-2.5-flash": 0.3},
        prompt=1900,
        completion=160,
        prompt_id="extract-invoice",
        tools=0.7,
    ),
)

LONGEST_SESSION = 40
SHORTEST_SESSION = 3

HOURS = (9, 6, 5, 4, 5, 8, 16, 34, 62, 84, 92, 90, 76, 84, 95, 92, 84, 72, 58, 46, 36, 27, 19, 13)
"""How busy each hour of the day is, UTC."""
WEEKDAYS = (1.0, 1.06, 1.08, 1.03, 0.92, 0.42, 0.36)
"""From Monday."""
