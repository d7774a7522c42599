"""Files of the lake that could not be read, as the query port tells of them: with each answer, and for a while by itself."""

import time
from collections.abc import Sequence

from fastapi import Request, Response

HEADER = "heliograph-unread-files"
"""Says how many files an answer lacks."""
MET_S = 600.0
"""For so long a file that a question could not read is told of as one that cannot be read."""


def lack(request: Request, files: Sequence[str]) -> None:
    """A question that was asked to answer the request lacks the files. From any thread."""
    lacked_by(request).update(files)
    request.app.state.met |= dict.fromkeys(files, time.monotonic())


def lacked_by(request: Request) -> set[str]:
    """What any of the questions lacked that were asked so far to answer this request."""
    files: set[str] = request.scope.setdefault("heliograph.lacked", set())
    return files


def telling(request: Request, answer: Response) -> Response:
    """The answer to a request, with the header that says what it lacks."""
    if files := lacked_by(request):
        answer.headers[HEADER] = str(len(files))
    return answer


def met(request: Request) -> list[str]:
    """What any question to this process lacked a short while ago."""
    known: dict[str, float] = request.app.state.met
    return sorted(name for name, at in known.items() if time.monotonic() - at < MET_S)
