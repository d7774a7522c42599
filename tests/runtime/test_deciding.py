"""What a role knows of what was decided, before it heard of anything and afterwards."""

from pathlib import Path

from eventlog.events import DEFAULT_ORGANIZATION
from eventlog.redaction import Unheard
from runtime.deciding import Control
from runtime.settings import Settings


async def test_what_is_redacted_is_unheard_until_the_control_topic_was_read(tmp_path: Path) -> None:
    control = Control(Settings(data_dir=tmp_path))
    assert control.redaction_for(DEFAULT_ORGANIZATION) is Unheard.RULES
    async with control.following():
        assert control.redaction_for(DEFAULT_ORGANIZATION) is None
