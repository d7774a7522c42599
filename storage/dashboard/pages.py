"""All pages, in the order of the navigation. A page of one's own is a line here."""

from storage.dashboard import (
    cache,
    calls,
    feedback,
    health,
    inspector,
    limits,
    models,
    one_session,
    overview,
    properties,
    sessions,
    sql,
    user,
    users,
)
from storage.dashboard.page import Page

PAGES: tuple[Page, ...] = (
    overview.PAGE,
    calls.PAGE,
    inspector.PAGE,
    sessions.PAGE,
    one_session.PAGE,
    users.PAGE,
    user.PAGE,
    properties.PAGE,
    feedback.PAGE,
    cache.PAGE,
    limits.PAGE,
    models.PAGE,
    sql.PAGE,
    health.PAGE,
)  # fmt: skip
