"""The lake, as webhooks and alerts ask it. A module of its own: where nobody has a webhook, what reads a lake is not loaded."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from eventlog.alerts import Alert, Measured
from processors.webhooks.bodies import Key
from processors.webhooks.messages import BODY_LIMIT, TOO_LONG, CallTold, Sides
from runtime.settings import Settings
from storage.lake import Lake, LakeUnreachable, NoLake
from storage.measuring import measured
from storage.memory import frugal
from storage.migration import LakeTooNew
from storage.query import Limits, Questions
from storage.refusal import Refused
from storage.told_bodies import told_bodies

MEMORY_BYTES = 256 << 20

AWAY = (Refused, NoLake, LakeUnreachable, LakeTooNew)
"""What keeps the lake from answering; it may answer later."""


class WebhookLake:
    """Blocks. May be used by several threads; close it at the end."""

    def __init__(self, chosen: Settings) -> None:
        """Raises one of AWAY."""
        frugal()
        limits = Limits(timeout_s=chosen.query.timeout_s, memory_bytes=MEMORY_BYTES, result_bytes=MEMORY_BYTES // 4, threads=1)
        self._questions = Questions(Lake.existing(chosen.storage()), limits)

    def bodies(self, calls: Sequence[CallTold]) -> Mapping[Key, Sides]:
        """Raises one of AWAY."""
        began = {(call.organization, call.call_id): call.created_at for call in calls}
        found = told_bodies(self._questions, began, limit=BODY_LIMIT, too_long=TOO_LONG)
        return {key: Sides(sides.get("request"), sides.get("response")) for key, sides in found.items()}

    def measured(self, alert: Alert, now: datetime) -> Measured:
        """Raises one of AWAY."""
        return measured(self._questions, alert, now)

    def close(self) -> None:
        self._questions.interrupt()
        self._questions.close()
