"""Which limits hold for a call, what they say, and how that is told. Statuses, headers and the body of a refusal are Helicone's.

(Its proxy's limiter and its docs, "Custom Rate Limits", read 2026-11. `Reset` is the seconds until the whole quota is free; `Retry-After`,
which it does not send, those until something is.)
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

import msgspec
import structlog

from eventlog.events import Organization, Outcome, Spend
from ingress.errors import CallFailed
from ingress.ledger import ID_BYTES, Ledger, LedgerUnavailable, Window
from ingress.policies import USER, Policy, Unit, parse_policy
from ingress.recording import Recording
from ingress.telemetry import Telemetry
from ingress.windows import Verdict

log = structlog.get_logger()

Headers = list[tuple[bytes, bytes]]


class RateLimited(CallFailed):
    """A limit of ours was reached; the provider was not called."""

    code: str = "rate_limited"
    status: int = 429
    outcome = Outcome.RATE_LIMITED

    def __init__(self, policy: Policy, verdict: Verdict, *, of_key: bool) -> None:
        """`of_key`: the limit is that of the caller's key, which no header of its asked for."""
        super().__init__(f"{policy} is reached{', a limit of the key' if of_key else ''}")
        limit = f"a limit of your Heliograph key, {policy}" if of_key else "Helicone-RateLimit-Policy"
        self.body = msgspec.json.encode(
            {"message": f"Rate limit reached by {limit}. Wait as long as Retry-After says before the next call."}
        )
        self.headers = [
            *told(policy, verdict),
            (b"Retry-After", b"%d" % max(1, verdict.retry_after_s)),
            (b"X-Helicone-Error", b"rate_limited"),
        ]


class LimitsUnavailable(CallFailed):
    """Nobody can say whether a limit was reached, and the operator wants no call to pass then; the provider was not called."""

    code: str = "limits_unavailable"
    status: int = 503
    outcome = Outcome.REJECTED

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.headers = [(b"Retry-After", b"1")]


def segment_of(policy: Policy, recording: Recording) -> str | None:
    """For whom the call counts; empty where everyone counts together, None where the call does not say."""
    if policy.segment is None:
        return ""
    said = recording.directives
    if policy.segment != USER:
        return said.properties.get(policy.segment) or None
    return said.user_id or recording.facts().user_id or None


def window_of(organization: Organization, whose: str, policy: Policy, segment: str) -> Window:
    """The count that this policy means. `whose`: empty for the organization's calls, else the key that the limit is on.

    Policies that differ in nothing but the quota share a count: who raises a quota does not begin anew.
    """
    parts = (organization, whose, policy.unit.value, str(policy.window_s), policy.segment or "", segment)
    said = b"".join(b"%d:%b" % (len(raw), raw) for raw in (part.encode("utf-8", "surrogatepass") for part in parts))
    return Window(blake2b(said, digest_size=ID_BYTES).digest(), policy)


def _spends(windows: Sequence[Window], ledger: str) -> tuple[Spend, ...]:
    """Where the call's cost will count."""
    return tuple(Spend(ledger=ledger, window=window.id.hex(), policy=str(window.policy)) for window in windows)


def told(policy: Policy, verdict: Verdict | None) -> Headers:
    """On every answer that a policy was asked for; without a verdict, where the call does not say for whom it counts."""
    spelled = str(policy).encode()
    named = [(b"Helicone-RateLimit-Policy", spelled)]
    if verdict is None:
        return named
    found = [
        (b"Helicone-RateLimit-Limit", spelled.partition(b";")[0]),
        (b"Helicone-RateLimit-Remaining", b"%d" % verdict.remaining),
        *named,
    ]
    return [*found, (b"Helicone-RateLimit-Reset", b"%d" % verdict.reset_s)] if verdict.reset_s else found


def tightest(windows: Sequence[Window], verdicts: Sequence[Verdict]) -> tuple[Window, Verdict]:
    """Of several, the one that refuses, for the longest; where all allow, the one that has least left."""
    return min(zip(windows, verdicts, strict=True), key=lambda pair: (pair[1].allowed, -pair[1].retry_after_s, pair[1].remaining))


class Limits:
    """Asks the ledger for the calls of one process.

    Where it cannot count, calls pass: nothing of ours holds one up. Unless it `refuses`, because the operator prefers that.
    """

    def __init__(self, ledger: Ledger | None, telemetry: Telemetry, *, refuses: bool = False) -> None:
        self._ledger = ledger
        self._refuses = refuses
        self._telemetry = telemetry
        self._counting = True

    async def pass_(self, recording: Recording) -> None:
        """Counts the call, and leaves with it what its answer is to say. Raises RateLimited, LimitsUnavailable."""
        windows, asked = self._windows(recording), recording.directives.rate_limit
        if not recording.kept:  # nobody's calls must not use up what is somebody's
            if asked is not None:
                recording.warn("Helicone-RateLimit-Policy is not obeyed: the call has no good Heliograph key")
            return
        nobody = asked is not None and segment_of(asked, recording) is None
        if asked is not None and nobody:
            recording.warn(f"Helicone-RateLimit-Policy counts for nobody: the call names no {asked.segment}")
        if windows and self._ledger is not None:
            try:
                judged = await self._ledger.judge(windows)
            except LedgerUnavailable as error:
                self._not_counted(error)
                return
            self._counting = True
            shown, verdict = tightest(windows, judged.verdicts)
            if not verdict.allowed:
                raise RateLimited(shown.policy, verdict, of_key=shown.policy is not asked)
            recording.tells(*told(shown.policy, verdict))
            costly = [window for window in windows if window.policy.unit is Unit.CENTS]
            if costly:
                await self._ledger.limit_costs()
                recording.costs_count(_spends(costly, judged.ledger))
        elif asked is not None and nobody:
            recording.tells(*told(asked, None))

    def _not_counted(self, error: LedgerUnavailable) -> None:
        """Raises LimitsUnavailable where nothing is to pass uncounted."""
        if self._counting:
            remains = "calls with a limit are refused" if self._refuses else "calls pass"
            log.error("limits_not_counted", error=str(error), remains=f"{remains} until they can be counted")
        self._counting = False
        if self._refuses:
            raise LimitsUnavailable("A limit holds for this call, and calls cannot be counted now; try again later.")
        self._telemetry.limit_not_counted()

    @staticmethod
    def by_user(recording: Recording) -> bool:
        """Whether it matters to a limit whose call it is."""
        return any(policy.segment == USER for _, policy in _policies(recording))

    def _windows(self, recording: Recording) -> list[Window]:
        found = []
        for whose, policy in _policies(recording):
            segment = segment_of(policy, recording)
            if whose or segment is not None:  # a limit of the key is its operator's: nobody gets around it by naming nobody
                found.append(window_of(recording.organization, whose, policy, segment or ""))
        return found


def _policies(recording: Recording) -> list[tuple[str, Policy]]:
    """Each with whose it is: empty for the header's, else the key's id."""
    key, asked = recording.key, recording.directives.rate_limit
    found = [] if asked is None else [("", asked)]
    return found if key is None else [*found, *((key.counted_as or key.id, _policy(text)) for text in key.limits)]


_policy = lru_cache(maxsize=1024)(parse_policy)
