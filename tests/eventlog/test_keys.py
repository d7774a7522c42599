"""Who is admitted: by the mode, the key, its scopes, its end."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from eventlog.events import Organization
from eventlog.keys import ANYBODY, ApiKey, Auth, Caller, NotAdmitted, Scope, admitted, digest_of, drawn

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
ACME = Organization("acme")


def made(key: str, *scopes: Scope, **more: object) -> ApiKey:
    facts = {"id": key, "name": f"the {key}", "digest": digest_of(key), "shown": key[:16], "organization": ACME, "created_at": NOW} | more
    return ApiKey(scopes=scopes, **facts)  # type: ignore[arg-type]


KEYS = {
    each.digest: each
    for each in (
        made("writer", Scope.WRITE),
        made("reader", Scope.READ),
        made("admin", Scope.ADMIN),
        made("ending", Scope.WRITE, expires_at=NOW + timedelta(seconds=1)),
        made("expired", Scope.WRITE, expires_at=NOW),
        made("revoked", Scope.WRITE, revoked_at=NOW),
        made("revoked-and-expired", Scope.WRITE, revoked_at=NOW, expires_at=NOW),
    )
}

# What the key says under `required`: the code of its refusal, or None when it is admitted.
CASES = {
    ("writer", Scope.WRITE): None,
    ("writer", Scope.READ): (403, "scope_missing"),
    ("writer", Scope.ADMIN): (403, "scope_missing"),
    ("reader", Scope.READ): None,
    ("reader", Scope.WRITE): (403, "scope_missing"),
    ("admin", Scope.WRITE): None,
    ("admin", Scope.READ): None,
    ("admin", Scope.ADMIN): None,
    ("ending", Scope.WRITE): None,
    ("expired", Scope.WRITE): (401, "key_expired"),
    ("revoked", Scope.WRITE): (401, "key_revoked"),
    ("revoked-and-expired", Scope.WRITE): (401, "key_revoked"),
    ("nobody's", Scope.WRITE): (401, "key_unknown"),
    ("", Scope.WRITE): (401, "key_unknown"),
    (None, Scope.WRITE): (401, "key_missing"),
}


@pytest.mark.parametrize(("presented", "scope"), CASES)
def test_required(presented: str | None, scope: Scope) -> None:
    expected = CASES[presented, scope]
    if expected is None:
        assert admitted(Auth.REQUIRED, KEYS, presented, scope, NOW) == Caller(ACME, KEYS[digest_of(presented or "")])
        return
    with pytest.raises(NotAdmitted) as caught:
        admitted(Auth.REQUIRED, KEYS, presented, scope, NOW)
    assert (caught.value.status, caught.value.code) == expected


@pytest.mark.parametrize(("presented", "scope"), CASES)
@pytest.mark.parametrize(("auth", "else_"), [(Auth.OPEN, ANYBODY), (Auth.PERMISSIVE, None)])
def test_whoever_is_not_known_elsewhere_is_anybody_or_nobody(auth: Auth, else_: Caller | None, presented: str | None, scope: Scope) -> None:
    known = CASES[presented, scope] is None
    expected = Caller(ACME, KEYS[digest_of(presented or "")]) if known else else_
    assert admitted(auth, KEYS, presented, scope, NOW) == expected


def test_a_refusal_never_holds_the_key() -> None:
    for ended in ({}, {"expires_at": NOW}, {"revoked_at": NOW}):
        key = made("sk-helicone-abcdefg-secret", Scope.READ, name="a name", **ended)
        for keys in ({}, {key.digest: key}):
            with pytest.raises(NotAdmitted) as caught:
                admitted(Auth.REQUIRED, keys, "sk-helicone-abcdefg-secret", Scope.WRITE, NOW)
            assert "abcdefg" not in str(caught.value)


@pytest.mark.parametrize(("scopes", "prefix"), [((Scope.WRITE,), "pk"), ((Scope.READ,), "sk"), ((Scope.WRITE, Scope.READ), "sk")])
def test_keys_have_the_form_that_clients_check_for(scopes: tuple[Scope, ...], prefix: str) -> None:
    keys = {drawn(scopes) for _ in range(100)}
    assert len(keys) == 100
    assert all(re.fullmatch(prefix + r"-helicone(-[a-z0-9]{7}){4}", key) for key in keys)
