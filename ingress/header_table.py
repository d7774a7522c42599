"""Every header that we know: how it is read, what it may say, what comes of it. The parser and the docs are made of this.

Source: Helicone's header directory and its proxy (read 2026-11-24).
"""

import re
from collections.abc import Callable

from msgspec import Struct

from eventlog.own_rates import EXAMPLE as RATES_EXAMPLE
from eventlog.own_rates import UNITS, parse_rates
from ingress.cache import MOST_SLOTS, parse_ignored
from ingress.errors import BadDirective
from ingress.fallbacks import EXAMPLE as FALLBACKS_EXAMPLE
from ingress.fallbacks import Fallback, parse_fallbacks
from ingress.policies import EXAMPLE as POLICY_EXAMPLE
from ingress.policies import Policy, parse_policy
from ingress.prompts import parse_mode
from ingress.token_limits import parse_handler

Reading = Callable[[str, str], object]
"""From a header's name, lower-case, and its value. Raises BadDirective."""


class Header(Struct, frozen=True):
    """A header that is understood."""

    name: str
    """As people write it."""
    field: str
    """Of `Directives`."""
    read: Reading
    grammar: str
    example: str
    meaning: str
    masked: bool = True
    """Keys of ours in its value are masked before it is read; else its reading takes them out."""


_TRUE, _FALSE = frozenset({"true", "1"}), frozenset({"false", "0", ""})


def _text(_name: str, value: str) -> str | None:
    return value.strip() or None


def _exact(_name: str, value: str) -> str:
    return value.strip()


def _flag(name: str, value: str) -> bool:
    plain = value.strip().lower()
    if plain in _TRUE:
        return True
    if plain in _FALSE:
        return False
    raise BadDirective(f"{shown(name)} must be true or false; an example: {shown(name)}: true", field=shown(name))


def _fallbacks(_name: str, value: str) -> tuple[Fallback, ...]:
    return parse_fallbacks(value)


def _ignored(name: str, value: str) -> tuple[str, ...]:
    return parse_ignored(shown(name), value)


def _rates(name: str, value: str) -> dict[str, str]:
    try:
        return parse_rates(value)
    except ValueError as error:
        raise BadDirective(f"{shown(name)} {error}; an example: {RATES_EXAMPLE}", field=shown(name)) from None


def _policy(_name: str, value: str) -> Policy:
    return parse_policy(value)


def _whole(least: int, most: int) -> Reading:
    def read(name: str, value: str) -> int:
        plain = value.strip()
        if plain.isascii() and plain.isdigit() and len(plain) <= DIGITS and least <= int(plain) <= most:
            return int(plain)
        raise BadDirective(f"{shown(name)} must be a whole number from {least} to {most}, such as {least + 1}", field=shown(name))

    return read


def _factor(name: str, value: str) -> float:
    if _DECIMAL.fullmatch(value.strip()) is not None and 1 <= float(value) <= MOST_FACTOR:
        return float(value)
    raise BadDirective(f"{shown(name)} must be a number from 1 to {MOST_FACTOR:g}, such as 2 or 1.5", field=shown(name))


def shown(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))


DIGITS = 9
_DECIMAL = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)
MOST_FACTOR = 100.0
MOST_RETRIES = 1_000
"""Beyond a setting's limit in any case."""
LONGEST_PAUSE_MS = 600_000
FLAG = "`true` or `false`"
TEXT = "any text"
ORIGIN = "an http or https URL"

HEADERS = (
    Header(
        "Helicone-Request-Id",
        "request_id",
        _exact,
        "a UUID",
        "0190a0b0-1111-4222-8333-444455556666",
        "The id that feedback names and `Helicone-Id` answers; other text is replaced by a new one, with a warning.",
    ),
    Header("Helicone-Target-URL", "target_url", _exact, ORIGIN, "https://api.groq.com", "Where the call goes: the origin alone counts."),
    Header(
        "Helicone-OpenAI-Api-Base",
        "api_base",
        _exact,
        ORIGIN,
        "https://mine.openai.azure.com",
        "As Helicone-Target-URL; it wins where both are sent.",
    ),
    Header("Helicone-User-Id", "user_id", _text, TEXT, "user-123", "Column `user_id`."),
    Header("Helicone-Session-Id", "session_id", _text, TEXT, "0190a0b0-2222-4222-8333-444455556666", "Column `session_id`."),
    Header("Helicone-Session-Name", "session_name", _text, TEXT, "Trip planner", "Column `session_name`."),
    Header("Helicone-Session-Path", "session_path", _text, "steps after `/`", "/plan/search", "Column `session_path`."),
    Header("Helicone-Prompt-Id", "prompt_id", _text, TEXT, "welcome", "Column `prompt_id`."),
    Header("Helicone-Prompt-Version", "prompt_version", _text, TEXT, "3", "Column `prompt_version`."),
    Header("Helicone-Prompt-Name", "prompt_name", _text, TEXT, "Welcome", "The property `helicone-prompt-name`."),
    Header(
        "Helicone-Prompt-Mode",
        "prompt_mode",
        parse_mode,
        "`production`, `testing` or `deactivated`",
        "production",
        'Whether `<helicone-prompt-input key="…">` tags are taken out of the messages, and what stood in them is kept; '
        "`production` where there is a Helicone-Prompt-Id.",
    ),
    Header(
        "Helicone-Model-Override",
        "model_override",
        _text,
        "a model's name",
        "gpt-4o",
        "The name that the call is shown and priced by; the request stays as it is.",
    ),
    Header(
        "Helicone-Cost-Override",
        "cost_override",
        _rates,
        f"`NAME=AMOUNT`, separated by commas: {', '.join(f'`{name}`' for name in UNITS)}",
        RATES_EXAMPLE,
        "What this call costs, in USD for a million tokens (`request`: for a call), whatever any price list says.",
    ),
    Header("Helicone-Omit-Request", "omit_request", _flag, FLAG, "true", "The request's body is not kept."),
    Header("Helicone-Omit-Response", "omit_response", _flag, FLAG, "true", "The answer's body is not kept; its tokens are counted."),
    Header(
        "Helicone-Retry-Enabled",
        "retry_enabled",
        _flag,
        FLAG,
        "true",
        "After a 429, a status from 500 on, or a failed connection, the provider is asked again.",
    ),
    Header("Helicone-Debug", "debug", _flag, FLAG, "true", "The answer says, in `Helicone-Debug`, what of its headers was understood."),
    Header(
        "Helicone-Moderations-Enabled",
        "moderate",
        _flag,
        FLAG,
        "true",
        "OpenAI's moderation endpoint is asked about the user's newest message; a call whose message it flags is not made.",
    ),
    Header(
        "Helicone-Retry-Num",
        "retry_num",
        _whole(0, MOST_RETRIES),
        f"0 to {MOST_RETRIES}",
        "3",
        "So many tries after the first, at most as the operator allows (HELIOGRAPH_ATTEMPTS__RETRIES); 5.",
    ),
    Header("Helicone-Retry-Factor", "retry_factor", _factor, "1 to 100", "2", "Each pause is so many times the one before; 2."),
    Header(
        "Helicone-Retry-Min-Timeout",
        "retry_min_ms",
        _whole(0, LONGEST_PAUSE_MS),
        f"0 to {LONGEST_PAUSE_MS}",
        "1000",
        "Milliseconds of the first pause; 1000.",
    ),
    Header(
        "Helicone-Retry-Max-Timeout",
        "retry_max_ms",
        _whole(0, LONGEST_PAUSE_MS),
        f"0 to {LONGEST_PAUSE_MS}",
        "10000",
        "Milliseconds that a pause takes at most, unless Retry-After asks for more; 10000.",
    ),
    Header(
        "Helicone-Fallbacks",
        "fallbacks",
        _fallbacks,
        "a JSON list of `target-url`, `headers`, `onCodes`, `bodyKeyOverride`",
        FALLBACKS_EXAMPLE,
        "Targets that are asked in order, until one answers with none of its `onCodes`.",
        masked=False,
    ),
    Header(
        "Helicone-Cache-Enabled",
        "cache_enabled",
        _flag,
        FLAG,
        "true",
        "An answer that was given before is given again; else this one is kept. `Cache-Control: max-age=N` says for how long; a week.",
    ),
    Header("Helicone-Cache-Read", "cache_read", _flag, FLAG, "true", "Given again, and not kept."),
    Header("Helicone-Cache-Save", "cache_save", _flag, FLAG, "true", "Kept, and not given again."),
    Header(
        "Helicone-Cache-Bucket-Max-Size",
        "cache_slots",
        _whole(1, MOST_SLOTS),
        f"1 to {MOST_SLOTS}",
        "3",
        "So many answers are gathered before any is given again, then one of them by chance; 1.",
    ),
    Header("Helicone-Cache-Seed", "cache_seed", _text, TEXT, "user-123", "Answers are kept apart by it."),
    Header(
        "Helicone-Cache-Ignore-Keys",
        "cache_ignored",
        _ignored,
        "names separated by commas, or a JSON list",
        "request_id,timestamp",
        "Top-level keys of the JSON body that do not count when an answer is looked for.",
    ),
    Header(
        "Helicone-RateLimit-Policy",
        "rate_limit",
        _policy,
        "`[quota];w=[seconds]`, then `;u=request` or `;u=cents`, then `;s=user` or `;s=[property]`",
        POLICY_EXAMPLE,
        "At most so many calls in any so many seconds: of everyone together, of each user, or of each value of a property.",
    ),
    Header(
        "Helicone-Stream-Usage",
        "stream_usage",
        _flag,
        FLAG,
        "true",
        "A request for a stream asks for its usage too (`stream_options.include_usage`).",
    ),
    Header(
        "Helicone-Stream-Force-Format",
        "force_format",
        _flag,
        FLAG,
        "true",
        "Pieces of a stream that are shorter than 50 bytes go out with the piece behind them.",
    ),
    Header(
        "Helicone-Token-Limit-Exception-Handler",
        "token_limit",
        parse_handler,
        "`truncate`, `middle-out` or `fallback`",
        "middle-out",
        "What becomes of a request that is longer than its model reads: its longest texts are cut at the end, its middle is taken out, "
        "or the second of the models in the body is asked.",
    ),
)
"""Those that are obeyed. `Helicone-Property-…` is one for each property, and any text."""

NEVER = (
    "Helicone-Gateway-Body-Mapping",
    "Helicone-Prompt-Format",
    "Helicone-Posthog-Key",
    "Helicone-Posthog-Host",
    "Helicone-Webhook-Enabled",
    "Helicone-JWT",
    "Helicone-Org-Id",
    "Helicone-Cache-Control",
    "Helicone-Target-Provider",
    "Helicone-Manual-Access-Key",
    "Helicone-RateLimit-Cost-Cents",
    "Helicone-Increase-Timeout",
    "Helicone-Experiment-Id",
    "Helicone-Experiment-Column-Id",
    "Helicone-Experiment-Row-Index",
    "Helicone-Node-Id",
    "Helicone-LLM-Security-Enabled",
    "Helicone-Prompt-Security-Enabled",
    "Helicone-LLM-Security-Advanced",
    "Helicone-Lytix-Key",
    "Helicone-Lytix-Host",
)
"""Helicone's, of which `docs/compatibility.md` says `not planned`, and why."""

BY_NAME = {header.name.lower().encode(): header for header in HEADERS}
SPELLED = {name.lower().encode(): name for name in NEVER}
ELSEWHERE = frozenset({b"helicone-auth", b"cache-control"})
"""Read by others."""
