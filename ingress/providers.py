"""The providers that have a route of their own, and how the provider behind a host is named.

Origins and host labels as in Helicone's proxy (read 2026-11-24); those not listed there from the vendors' API references.
"""

ORIGINS = {
    "anthropic": "https://api.anthropic.com",
    "cerebras": "https://api.cerebras.ai",
    "cohere": "https://api.cohere.com",
    "deepinfra": "https://api.deepinfra.com",
    "deepseek": "https://api.deepseek.com",
    "firecrawl": "https://api.firecrawl.dev",
    "fireworks": "https://api.fireworks.ai",
    "google": "https://generativelanguage.googleapis.com",
    "groq": "https://api.groq.com",
    "hyperbolic": "https://api.hyperbolic.xyz",
    "llama": "https://api.llama.com",
    "mistral": "https://api.mistral.ai",
    "nebius": "https://api.tokenfactory.nebius.com",
    "novita": "https://api.novita.ai",
    "nvidia": "https://integrate.api.nvidia.com",
    "openai": "https://api.openai.com",
    "openrouter": "https://openrouter.ai",
    "perplexity": "https://api.perplexity.ai",
    "predibase": "https://api.app.predibase.com",
    "sambanova": "https://api.sambanova.ai",
    "together": "https://api.together.xyz",
    "vercel": "https://ai-gateway.vercel.sh",
    "x": "https://api.x.ai",
}

ALIASES = {"xai": "x", "gemini": "google", "oai": "openai"}
"""Other names for the same route."""

GATEWAY = "gateway"
"""Not a provider: the caller names the target."""

HOST_LABELS = {name: name for name in ORIGINS} | ALIASES | {GATEWAY: GATEWAY}

_BY_HOST = {url.removeprefix("https://"): name for name, url in ORIGINS.items()} | {
    "api.cohere.ai": "cohere",
    "api.together.ai": "together",
    "api.studio.nebius.ai": "nebius",
}
_BY_SUFFIX = (
    (".openai.azure.com", "azure"),
    (".azure-api.net", "azure"),
    (".cognitiveservices.azure.com", "azure"),
    (".services.ai.azure.com", "azure"),
    ("aiplatform.googleapis.com", "vertex"),
    (".api.openai.com", "openai"),
    (".groq.com", "groq"),
    (".mistral.ai", "mistral"),
)


def provider_at(host: str) -> str:
    """The provider that answers at `host`; the host itself when nobody knows."""
    host = host.lower().rstrip(".")
    known = _BY_HOST.get(host)
    if known is not None:
        return known
    if host.startswith("bedrock-runtime.") and host.endswith(".amazonaws.com"):
        return "bedrock"
    return next((name for suffix, name in _BY_SUFFIX if host.endswith(suffix)), host)
