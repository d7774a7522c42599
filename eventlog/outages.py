"""An outage, told once when it begins and once when it is over, however often it is met in between."""

import structlog

log = structlog.get_logger()


class Outage:
    """Whether the log is away for one who uses it, and why. `who` names them in the lines."""

    def __init__(self, **who: str) -> None:
        self._who = who
        self.reason = ""
        """Why the log is away; empty while it is there."""

    def goes_on(self, error: Exception) -> None:
        if not self.reason:
            log.warning("log_unavailable", **self._who, error=str(error))
        self.reason = str(error)

    def over(self) -> None:
        if self.reason:
            log.info("log_available", **self._who)
        self.reason = ""
