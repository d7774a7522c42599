"""How long an organization's rows stay in the lake: its facts, and what was said."""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta

from msgspec import Struct

from eventlog.events import DEFAULT_ORGANIZATION, Instant, Organization

EVERYBODY = Organization("*")
"""In the place of an organization: all that have no retention of their own. None can be called so."""
FOREVER = 0
"""In the place of days."""
MOST_DAYS = 36_500


class Retention(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="decision", tag="retention"):
    """What was decided for an organization, or for everybody. What was decided last counts."""

    organization: Organization
    facts_days: int | None = None
    """Days that calls, amendments and feedback stay. 0: for ever; None: as for everybody, or as the settings say."""
    bodies_days: int | None = None
    """The same of bodies and dead letters."""
    set_at: Instant
    """When it was decided."""


class Span(Struct, frozen=True):
    """Days that facts and bodies stay; None: for ever."""

    facts: int | None = None
    bodies: int | None = None

    @property
    def sound(self) -> bool:
        """Whether bodies are to leave no later than their facts."""
        return self.facts is None or (self.bodies is not None and self.bodies <= self.facts)

    def days(self, *, bodies: bool) -> int | None:
        """Bodies stay no longer than their facts, whatever is said."""
        said = [each for each in ((self.facts, self.bodies) if bodies else (self.facts,)) if each is not None]
        return min(said, default=None)


class Lifetimes(Struct, frozen=True):
    """What counts for each organization."""

    usual: Span = Span()
    own: dict[Organization, Span] = {}

    def of(self, organization: Organization | None) -> Span:
        """What nobody's event could be read of is the operator's."""
        return self.own.get(organization or DEFAULT_ORGANIZATION, self.usual)

    def cutoff(self, organization: Organization | None, today: date, *, bodies: bool) -> date | None:
        """The first day that stays; None: all do."""
        days = self.of(organization).days(bodies=bodies)
        return None if days is None else today - timedelta(days=days)

    @property
    def anything(self) -> bool:
        """Whether anything ever leaves."""
        return any(span != Span() for span in (self.usual, *self.own.values()))


def lifetimes(decided: Iterable[Retention], settings: Span) -> Lifetimes:
    """What was decided, over what the settings say: an organization's own, else everybody's, else the settings'."""
    every = list(decided)
    usual = next((laid_over(settings, each) for each in every if each.organization == EVERYBODY), settings)
    return Lifetimes(usual, {each.organization: laid_over(usual, each) for each in every if each.organization != EVERYBODY})


def laid_over(span: Span, said: Retention) -> Span:
    """`span`, with what was said in its place."""
    return Span(_days(span.facts, said.facts_days), _days(span.bodies, said.bodies_days))


class BadRetention(ValueError):
    """Bodies would be said to stay longer than their calls. The message says how long each."""

    retryable = False


def decided_anew(
    decided: Mapping[Organization, Retention], settings: Span, organization: Organization, said: Span, at: Instant
) -> tuple[Retention, Span]:
    """The decision that lays `said` over what was said before, and what counts by it. In `said`, 0 is for ever and None is nothing said.

    Raises BadRetention.
    """
    before = decided.get(organization) or Retention(organization=organization, set_at=at)
    facts = before.facts_days if said.facts is None else said.facts
    bodies = before.bodies_days if said.bodies is None else said.bodies
    new = Retention(organization=organization, facts_days=facts, bodies_days=bodies, set_at=at)
    found = lifetimes({**decided, organization: new}.values(), settings)
    span = found.usual if organization == EVERYBODY else found.own[organization]
    if bodies is not None and not span.sound:
        raise BadRetention(f"bodies would stay {told(span.bodies)}, and their calls {told(span.facts)}")
    return new, span


def told(days: int | None) -> str:
    """For people."""
    return "for ever" if days is None else f"{days} day{'' if days == 1 else 's'}"


def _days(before: int | None, said: int | None) -> int | None:
    if said is None:
        return before
    return None if said == FOREVER else said
