"""Keys as they are known once they were made, without a command that makes them."""

from datetime import UTC, datetime
from typing import Any

from eventlog.events import Organization
from eventlog.keys import ApiKey, Keys, Scope, digest_of

MADE_AT = datetime(2026, 11, 26, 12, tzinfo=UTC)
WRITER = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"
READER = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-eeeeeee"
STRANGER = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-fffffff"
"""Nobody's."""


def key(text: str, *scopes: Scope, organization: str = "acme", **more: Any) -> ApiKey:
    facts = {"id": text[-7:], "name": text[-7:], "shown": text[:16], "created_at": MADE_AT} | more
    return ApiKey(digest=digest_of(text), scopes=scopes, organization=Organization(organization), **facts)


def keyring(*keys: ApiKey) -> Keys:
    return {each.digest: each for each in keys}


KEYS = keyring(key(WRITER, Scope.WRITE), key(READER, Scope.READ))
