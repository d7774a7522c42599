"""The prompts as the query side has them: followed on their topic, with a copy in the data directory, and changed there."""

import time
from datetime import UTC, datetime
from functools import partial

from eventlog.following import Follower
from eventlog.prompt_changes import PromptChanges
from eventlog.prompts_kept import PromptsKept
from eventlog.topics import PROMPTS
from runtime.deciding import opened_log
from runtime.settings import Settings
from storage.rest.prompt_desk import PromptDesk

COPY = "prompts.sqlite"


def prompt_desk(chosen: Settings) -> PromptDesk:
    """Knows nothing until its follower runs."""
    opened = partial(opened_log, chosen, (PROMPTS.name,))
    follower = Follower(opened, PROMPTS.name, "prompts", PromptsKept(chosen.data_dir / COPY))
    return PromptDesk(follower, PromptChanges(opened, follower, lambda: datetime.fromtimestamp(time.time(), UTC)))
