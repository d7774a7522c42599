"""Lists of models, on the query port, from the price list that came with the program: as OpenAI's API has one, and as Helicone's registry.

Anybody may read them, as with Helicone: they say nothing of anybody's calls. Prices of one's own are not among them (`GET /v1/prices`).
Source: Helicone's `modelController` and `modelRegistryController` (read 2026-11).
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import msgspec
from fastapi import APIRouter, Response

from processors.pricing.catalogue import Model, Rates, Seller, models_at

NOT_KNOWN = 0
"""When a model was made, which OpenAI's list must say and the price list does not."""
_PRICES = {
    "prompt": "input_mtok",
    "completion": "output_mtok",
    "audio": "input_audio_mtok",
    "thinking": "output_reasoning_mtok",
    "web_search": "web_searches_kcount",
    "image": "input_image_mtok",
    "video": "input_video_mtok",
    "cacheRead": "cache_read_mtok",
    "cacheWrite": "cache_write_mtok",
}
"""Helicone's names, and the price list's."""
_CAPABILITIES = {"audio": "audio", "video": "video", "image": "image", "thinking": "thinking", "web_search": "web_search"}
_CACHES = ("cacheRead", "cacheWrite")

_encode = msgspec.json.Encoder(decimal_format="number").encode


class _Lists(NamedTuple):
    """Both, as they are sent; prices are dated, so they are of one day."""

    day: date
    models: bytes
    registry: bytes


def model_routes(clock: Callable[[], float]) -> APIRouter:
    """`clock` gives seconds since 1970."""
    routes, made, one_at_a_time = APIRouter(tags=["models"]), list[_Lists](), asyncio.Lock()

    async def lists() -> _Lists:
        now = datetime.fromtimestamp(clock(), UTC)
        async with one_at_a_time:
            if not made or made[0].day != now.date():
                made[:] = [await asyncio.to_thread(_made, now)]
            return made[0]

    @routes.get("/v1/models", summary="The models of the price list")
    async def models() -> Response:
        """As OpenAI's API lists them. `created` is 0: it is not known."""
        return Response((await lists()).models, media_type="application/json")

    @routes.get("/v1/public/model-registry/models", summary="The models of the price list, with their prices")
    async def registry() -> Response:
        """As Helicone's registry does, in USD for a million tokens or searches. What the price list does not say is null, or empty."""
        return Response((await lists()).registry, media_type="application/json")

    return routes


def _made(now: datetime) -> _Lists:
    known = models_at(now)
    return _Lists(now.date(), _encode(openai_list(known)), _encode({"data": registry_of(known), "error": None}))


def openai_list(models: list[Model]) -> dict[str, Any]:
    entries = [{"id": model.id, "object": "model", "created": NOT_KNOWN, "owned_by": model.maker} for model in models]
    return {"object": "list", "data": entries}


def registry_of(models: list[Model]) -> dict[str, Any]:
    entries = [_entry(model) for model in models]
    prices = [endpoint["pricing"] for entry in entries for endpoint in entry["endpoints"]]
    sellers = {seller.id: seller.name for model in models for seller in model.sellers}
    return {
        "models": entries,
        "total": len(entries),
        "filters": {
            "providers": [{"name": id_, "displayName": name} for id_, name in sorted(sellers.items())],
            "authors": sorted({model.maker for model in models}),
            "capabilities": sorted({kind for each in prices for kind in _capabilities(each)}),
        },
    }


def _entry(model: Model) -> dict[str, Any]:
    return {
        "id": model.id,
        "name": model.name,
        "author": model.maker,
        "contextLength": model.context_tokens,
        "endpoints": [_endpoint(seller) for seller in model.sellers],
        "description": model.description,
        "inputModalities": [],
        "outputModalities": [],
        "supportedParameters": [],
    }


def _endpoint(seller: Seller) -> dict[str, Any]:
    tiers = [_pricing(rates) | {"threshold": rates.above} for rates in seller.rates]
    told = {"provider": seller.id, "providerSlug": seller.id, "supportsPtb": False, "pricing": _pricing(seller.rates[0])}
    return told if len(tiers) == 1 else told | {"pricingTiers": tiers}


def _pricing(rates: Rates) -> dict[str, Any]:
    """`prompt` or `completion` is null where that is not what is billed."""
    told = {name: rates.amounts[key] for name, key in _PRICES.items() if key in rates.amounts}
    return {"prompt": None, "completion": None} | told


def _capabilities(pricing: Mapping[str, Any]) -> set[str]:
    found = {capability for name, capability in _CAPABILITIES.items() if pricing.get(name)}
    return found | ({"caching"} if any(pricing.get(name) for name in _CACHES) else set())
