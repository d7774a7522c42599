"""How made-up calls end: answered, refused, broken off; how often each was tried, and who answered in the place of another. Pure."""

import numpy as np
from msgspec import Struct

from eventlog.events import Outcome
from runtime.history.arrow import Flags, Floats, Ints
from runtime.history.cast import FALLBACK, FEATURES, MODELS, UNLUCKY
from runtime.history.groups import Groups


class Ending(Struct, frozen=True, kw_only=True):
    """One way for a call to end. `{host}` of the error is the provider's."""

    outcome: Outcome
    status: int | None
    chance: float = 0.0
    """For a usual call."""
    error: dict[str, str | None] = {}
    """By provider; under an empty name everybody else's."""
    only_streams: bool = False
    asked: bool = True
    """The provider was."""

    def told(self, provider: str) -> str | None:
        return self.error.get(provider, self.error.get("", None))


COMPLETED = 0
ENDINGS: tuple[Ending, ...] = (
    Ending(outcome=Outcome.COMPLETED, status=200),
    Ending(
        outcome=Outcome.PROVIDER_ERROR,
        status=429,
        chance=0.005,
        error={
            "": "rate_limit_exceeded: Rate limit reached on tokens per min (TPM). Please try again in 1.2s.",
            "anthropic": "rate_limit_error: This request would exceed your organization's rate limit.",
            "google": "RESOURCE_EXHAUSTED: You exceeded your current quota.",
        },
    ),
    Ending(
        outcome=Outcome.PROVIDER_ERROR,
        status=500,
        chance=0.0025,
        error={
            "": "server_error: The server had an error while processing your request. Sorry about that!",
            "anthropic": "api_error: Internal server error",
            "google": "INTERNAL: An internal error has occurred. Please retry.",
        },
    ),
    Ending(
        outcome=Outcome.PROVIDER_ERROR,
        status=400,
        chance=0.003,
        error={
            "": "context_length_exceeded: This model's maximum context length is 128000 tokens.",
            "anthropic": "invalid_request_error: messages: final assistant content cannot end with trailing whitespace",
            "google": "INVALID_ARGUMENT: Request contains an invalid argument.",
        },
    ),
    Ending(
        outcome=Outcome.PROVIDER_ERROR,
        status=529,
        error={"": "server_error: Overloaded", "anthropic": "overloaded_error: Overloaded"},
    ),
    Ending(
        outcome=Outcome.TIMED_OUT,
        status=504,
        chance=0.0009,
        error={"": "upstream_timed_out: The provider sent no answer within 600 s (HELIOGRAPH_LIMITS__FIRST_BYTE_S)."},
    ),
    Ending(
        outcome=Outcome.UNREACHABLE,
        status=502,
        chance=0.0004,
        error={"": "upstream_refused: {host} port {port} takes no connection: Connection refused."},
    ),
    Ending(
        outcome=Outcome.INTERRUPTED_BY_CLIENT,
        status=200,
        chance=0.011,
        only_streams=True,
        error={"": "The client left before it had the whole answer."},
    ),
    Ending(
        outcome=Outcome.INTERRUPTED_BY_PROVIDER,
        status=200,
        chance=0.0012,
        only_streams=True,
        error={"": "upstream_interrupted: The provider closed the connection in the middle of its answer."},
    ),
    Ending(
        outcome=Outcome.RATE_LIMITED,
        status=429,
        chance=0.004,
        asked=False,
        error={"": "rate_limited: 600;w=60;s=user is reached"},
    ),
    Ending(
        outcome=Outcome.REJECTED,
        status=400,
        chance=0.0012,
        asked=False,
        error={"": "bad_directive: Helicone-Cache-Bucket-Max-Size: a whole number from 1 to 20 is expected"},
    ),
)
OVERLOADED = next(at for at, ending in enumerate(ENDINGS) if ending.status == 529)
INCIDENT_ERRORS, RESCUED, RESCUED_THEN = 0.6, 0.85, 0.25
"""How often the provider with the incident fails; and how often another try helps, usually and then."""
RETRYING = 12
"""Of a hundred callers so many ask for retries."""
CHANCES: Floats = np.array([0.0, *(ending.chance for ending in ENDINGS[1:])])
PROVIDER_ERRORS: Flags = np.array([ending.outcome is Outcome.PROVIDER_ERROR for ending in ENDINGS])
ONLY_STREAMS: Flags = np.array([ending.only_streams for ending in ENDINGS])
ASKED: Flags = np.array([ending.asked for ending in ENDINGS])
OF_UNLUCKY: Flags = np.array([model.provider == UNLUCKY for model in MODELS])
FALLS_BACK: Flags = np.array([feature.falls_back for feature in FEATURES])
MAY_RETRY: Flags = np.array([feature.prompt_id is not None for feature in FEATURES])


class Endings(Struct):
    """For each call: how it ended (of `ENDINGS`), after how many tries, and which fallback answered, below 0 without any."""

    ending: Ints
    attempts: Ints
    fallback: Ints
    several: Flags
    """It was allowed several tries: they are told one by one."""
    first_failed: Ints
    """What earlier tries ended with, of `ENDINGS`."""


def endings(groups: Groups, model: Ints, stream: Flags, hit_by_incident: Flags, rng: np.random.Generator) -> tuple[Endings, Ints]:
    """And the models that answered: of a fallback, another than was asked first."""
    calls = len(model)
    ends = np.searchsorted(np.cumsum(CHANCES), rng.random(calls), side="right")
    ending = np.where(ends < len(ENDINGS), ends, COMPLETED)
    ending = np.where(ONLY_STREAMS[ending] & ~stream, COMPLETED, ending)
    unlucky = OF_UNLUCKY[model] & hit_by_incident
    ending = np.where(unlucky & (rng.random(calls) < INCIDENT_ERRORS), OVERLOADED, ending)
    failed_first = ending.copy()
    attempts = np.where(ASKED[ending], 1, 0)

    retries = MAY_RETRY[groups.feature] & (groups.group * 2654435761 % 100 < RETRYING)
    again = retries & PROVIDER_ERRORS[ending] & (ending != _status(400))
    saved = again & (rng.random(calls) < np.where(unlucky, RESCUED_THEN, RESCUED))
    attempts = np.where(again, np.where(saved, rng.integers(2, 4, calls), 3), attempts)
    ending = np.where(saved, COMPLETED, ending)

    others = FALLS_BACK[groups.feature] & OF_UNLUCKY[model] & ASKED[failed_first]
    fallen = others & PROVIDER_ERRORS[ending]
    attempts = np.where(fallen, attempts + 1, attempts)
    ending = np.where(fallen, COMPLETED, ending)
    fallback = np.where(fallen, 1, np.where(others, 0, -1))
    several = (retries | others) & (attempts > 0)
    found = Endings(ending, attempts, fallback, several, failed_first)
    return found, np.where(fallen, FALLBACK, model)


def _status(status: int) -> int:
    return next(at for at, ending in enumerate(ENDINGS) if ending.status == status)
