"""The prompts behind their endpoints: what is known here and how it is changed, one prompt or version found, and how each is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec
from fastapi import Request

from eventlog.events import Organization
from eventlog.following import Follower
from eventlog.keys import Scope
from eventlog.port import LogCorrupt, LogUnavailable, MessageTooLarge, OffsetOutOfRange
from eventlog.prompt_changes import PromptChanges, PromptGone
from eventlog.prompts import Library, Prompt, PromptVersion
from eventlog.prompts_kept import PromptsKept
from storage.api import caller_of
from storage.rest.envelope import Wrong
from storage.rest.links import links_of

LINK = "/v1/prompt-2025/body/{}"
NO_PROMPT, NO_VERSION = "Prompt not found", "Prompt version not found"


class PromptDesk(NamedTuple):
    """What an app needs for its endpoints of prompts: `app.state.prompts`."""

    follower: Follower[PromptsKept]
    changes: PromptChanges


class Asked(NamedTuple):
    """The prompts, for whoever sent a request."""

    organization: Organization
    kept: PromptsKept
    changes: PromptChanges

    @property
    def library(self) -> Library:
        return self.kept.library

    def prompt(self, id_: str) -> Prompt:
        """Raises Wrong."""
        found = self.library.prompt(self.organization, id_)
        if found is None:
            raise Wrong(NO_PROMPT, 404)
        return found

    def version(self, id_: str, prompt: Prompt | None = None) -> PromptVersion:
        """One of any prompt, or of this one. Raises Wrong."""
        found = self.library.version(self.organization, id_)
        if found is None or (prompt is not None and found.prompt != prompt.id):
            raise Wrong(NO_VERSION, 404)
        return found


def asked(request: Request, scope: Scope = Scope.READ) -> Asked:
    """Raises Refused where the caller may not, and Wrong while nobody knows which prompts there are."""
    return Asked(caller_of(request, scope).organization, *_desk(request))


def kept_here(request: Request) -> PromptsKept:
    """For whoever has a link. Raises Wrong."""
    return _desk(request)[0]


def _desk(request: Request) -> tuple[PromptsKept, PromptChanges]:
    desk: PromptDesk = request.app.state.prompts
    if not desk.follower.known.is_set():
        raise Wrong("Which prompts there are is not known yet: the event log is not reached. Try again in a moment.", 503)
    return desk.follower.kept, desk.changes


@contextmanager
def changing() -> Iterator[None]:
    """A change, whose errors are told. Raises Wrong."""
    try:
        yield
    except PromptGone:
        raise Wrong(NO_PROMPT, 404) from None
    except MessageTooLarge as error:
        raise Wrong(f"promptBody is larger than the event log takes: {error}", 413) from error
    except (LogUnavailable, LogCorrupt, OffsetOutOfRange) as error:
        why = str(error).strip().rstrip(".")
        raise Wrong(
            f"It is not sure to be changed: the event log takes nothing now ({why}). See what there is, and try again.", 503
        ) from error


def told(prompt: Prompt) -> dict[str, Any]:
    return {"id": prompt.id, "name": prompt.name, "tags": prompt.tags, "created_at": prompt.created_at}


def version_told(version: PromptVersion, library: Library, request: Request, body: bytes | None = None) -> dict[str, Any]:
    link = links_of(request).to(LINK.format(version.id), request, organization=version.organization)
    shown = {
        "id": version.id,
        "model": version.model,
        "prompt_id": version.prompt,
        "major_version": version.major,
        "minor_version": version.minor,
        "commit_message": version.message,
        "environments": library.environments(version),
        "created_at": version.created_at,
        "s3_url": link,
    }
    return shown if body is None else {**shown, "prompt_body": msgspec.Raw(body)}
