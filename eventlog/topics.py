"""Where each event is said. Topics are declared here and nowhere else."""

from zlib import crc32

from msgspec import Struct

from eventlog.events import (
    CallPriced,
    CallScored,
    DeadLetter,
    Event,
    FeedbackGiven,
    Organization,
    RequestId,
    RequestReceived,
    ResponseCompleted,
)


class Topic(Struct, frozen=True, kw_only=True):
    """A named stream of one kind of event. `name` ends in the major version; a new meaning is a new version."""

    name: str
    event: type[Event] | None
    """None: keyed control records that are no call events."""
    compacted: bool = False
    """Only the newest message of each key matters, and it never expires."""
    coupled: bool = True
    """Has as many partitions as every other coupled topic: the same number means the same calls."""
    needed: bool = True
    """Without it nobody starts; else it is missed by those alone who use it."""


REQUESTS = Topic(name="llm.requests.v1", event=RequestReceived)
RESPONSES = Topic(name="llm.responses.v1", event=ResponseCompleted)
FEEDBACK = Topic(name="llm.feedback.v1", event=FeedbackGiven)
CALLS = Topic(name="llm.calls.v1", event=CallPriced)
SCORED_CALLS = Topic(name="llm.scored-calls.v1", event=CallScored)
DEAD_LETTERS = Topic(name="llm.dead-letters.v1", event=DeadLetter)
CONTROL = Topic(name="heliograph.control.v1", event=None, compacted=True, coupled=False)
PROMPTS = Topic(name="heliograph.prompts.v1", event=None, compacted=True, coupled=False, needed=False)

TOPICS: dict[str, Topic] = {
    topic.name: topic for topic in (REQUESTS, RESPONSES, FEEDBACK, CALLS, SCORED_CALLS, DEAD_LETTERS, CONTROL, PROMPTS)
}
NEEDED = tuple(name for name, topic in TOPICS.items() if topic.needed)

HELD = Topic(name="heliograph.feedback-join.v1", event=None, compacted=True)
"""What the feedback join holds, as faust's changelog. On Kafka only; nobody else reads or writes it."""


def partition_of(organization: Organization, request_id: RequestId, partitions: int) -> int:
    """The one partition rule: all events of one request meet on one partition number, in every topic."""
    if partitions == 1:
        return 0
    return crc32(f"{organization}\0{request_id}".encode("utf-8", "surrogatepass")) % partitions
