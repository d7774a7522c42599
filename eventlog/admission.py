"""Who may come in, by the keys that are known now."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from eventlog.keys import Auth, Caller, Keys, NotAdmitted, Scope, admitted

Known = Callable[[], Keys | None]
"""The keys that there are now; None while nobody knows: the log was not reached since the program began, and there is no copy."""


def no_keys() -> Keys:
    """Where there are none."""
    return {}


class Admission:
    """Judges callers. `auth` is what the operator said, if anything; `beyond`: others than this machine can reach us.

    Where nothing was said, everybody may come in until there is a first key.
    """

    def __init__(
        self, auth: Auth | None = None, known: Known = no_keys, *, beyond: bool = False, clock: Callable[[], float] = time.time
    ) -> None:
        self._auth, self._known, self._beyond, self._clock = auth, known, beyond, clock

    @property
    def everybody(self) -> bool:
        """Nobody has to say who they are, and nothing would come of it."""
        keys = self._known()
        return not keys and self._rule(keys) is Auth.OPEN

    @property
    def open(self) -> bool:
        """Anybody may come in, with a key or without."""
        return self._rule(self._known()) is Auth.OPEN

    @property
    def everybody_known(self) -> bool:
        """Nobody comes in without a good key."""
        return self._rule(self._known()) is Auth.REQUIRED

    def caller(self, presented: str | None, scope: Scope) -> Caller | None:
        """Who presents this key. None, under `permissive` alone: somebody of whom nothing is kept. Raises NotAdmitted."""
        keys = self._known()
        return self._judged(self._rule(keys), keys, presented, scope)

    def known_caller(self, presented: str | None, scope: Scope) -> Caller:
        """As `caller`, where it has to be known whose something is. Raises NotAdmitted."""
        keys = self._known()
        rule = self._rule(keys)
        caller = self._judged(Auth.REQUIRED if rule is Auth.PERMISSIVE else rule, keys, presented, scope)
        assert caller is not None  # noqa: S101 only `permissive` knows such callers
        return caller

    def sees_all(self, caller: Caller) -> bool:
        """Whether other organizations' rows are for this caller too: where it is known that there are no keys, or by the operator's."""
        return self._known() == {} if caller.key is None else caller.key.may(Scope.ADMIN)

    def _rule(self, keys: Keys | None) -> Auth:
        if self._auth is not None:
            return self._auth
        return Auth.REQUIRED if keys or (keys is None and self._beyond) else Auth.OPEN

    def _judged(self, rule: Auth, keys: Keys | None, presented: str | None, scope: Scope) -> Caller | None:
        if keys is None and rule is Auth.REQUIRED:
            raise NotAdmitted(
                503, "keys_unknown", "Which keys are good is not known yet: the event log is not reached. Try again in a moment."
            )
        return admitted(rule, keys or {}, presented, scope, datetime.fromtimestamp(self._clock(), UTC))
