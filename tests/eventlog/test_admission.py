"""Who may come in: by what the operator said, what is known, and from where one can reach us."""

import pytest

from eventlog.admission import Admission
from eventlog.events import Organization
from eventlog.keys import ANYBODY, Auth, Keys, NotAdmitted, Scope, digest_of
from tests.fakes.keyring import MADE_AT, key, keyring

ACME = Organization("acme")


KEYS = keyring(key("mine", Scope.WRITE, Scope.READ), key("operator's", Scope.ADMIN))
NOBODY, NOT_KEPT, MISSING, UNKNOWN = ANYBODY.organization, None, "key_missing", "keys_unknown"

# What was said, the keys, whether others can reach us: whose a call without a key is.
CASES = {
    "the first start": (None, {}, False, NOBODY),
    "a first key": (None, KEYS, False, MISSING),
    "not known, this machine alone": (None, None, False, NOBODY),
    "not known, and others reach us": (None, None, True, UNKNOWN),
    "no keys, and others reach us": (None, {}, True, NOBODY),
    "open is said": (Auth.OPEN, KEYS, True, NOBODY),
    "open is said, not known": (Auth.OPEN, None, True, NOBODY),
    "required is said": (Auth.REQUIRED, {}, False, MISSING),
    "required is said, not known": (Auth.REQUIRED, None, False, UNKNOWN),
    "permissive is said": (Auth.PERMISSIVE, KEYS, True, NOT_KEPT),
    "permissive is said, not known": (Auth.PERMISSIVE, None, True, NOT_KEPT),
}


@pytest.mark.parametrize(("auth", "keys", "beyond", "expected"), CASES.values(), ids=CASES)
def test_without_a_key(auth: Auth | None, keys: Keys | None, beyond: bool, expected: str | None) -> None:
    admission = Admission(auth, lambda: keys, beyond=beyond, clock=MADE_AT.timestamp)
    if expected in {MISSING, UNKNOWN}:
        with pytest.raises(NotAdmitted) as caught:
            admission.caller(None, Scope.WRITE)
        assert (caught.value.code, caught.value.status) == (expected, 503 if expected == UNKNOWN else 401)
    else:
        caller = admission.caller(None, Scope.WRITE)
        assert (None if caller is None else caller.organization) == expected
    assert admission.everybody is (expected == NOBODY and not keys)


@pytest.mark.parametrize("auth", [None, *Auth])
def test_with_a_key(auth: Auth | None) -> None:
    admission = Admission(auth, lambda: KEYS, beyond=True, clock=MADE_AT.timestamp)
    for caller in (admission.caller("mine", Scope.WRITE), admission.known_caller("mine", Scope.READ)):
        assert caller is not None
        assert (caller.organization, caller.key, admission.sees_all(caller)) == (ACME, KEYS[digest_of("mine")], False)
    assert admission.sees_all(admission.known_caller("operator's", Scope.READ))


def test_where_it_has_to_be_known_whose_something_is() -> None:
    with pytest.raises(NotAdmitted, match="is not known here"):
        Admission(Auth.PERMISSIVE, lambda: KEYS).known_caller("nobody's", Scope.WRITE)
    opened = Admission(Auth.OPEN, lambda: KEYS)
    assert opened.known_caller("nobody's", Scope.WRITE) == ANYBODY
    assert not opened.sees_all(ANYBODY)
    assert Admission().sees_all(ANYBODY)
    assert not Admission(Auth.OPEN, lambda: None).sees_all(ANYBODY)
