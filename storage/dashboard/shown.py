"""What the shell of a page shows around its panels: navigation, time range, filters, who looks."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from storage.dashboard import filters
from storage.dashboard.filters import PROPERTY
from storage.dashboard.linked import Linked
from storage.dashboard.page import Asking, Page
from storage.dashboard.scales import day_text
from storage.dashboard.span import PRESETS, Span, local_text
from storage.dashboard.trouble import Trouble
from storage.dashboard.zones import Period

if TYPE_CHECKING:
    from storage.dashboard.desk import Desk


def shell(desk: "Desk", page: Page, asking: Asking, links: Linked, troubles: Sequence[Trouble]) -> dict[str, Any]:
    view, caller = asking.view, asking.caller
    return {
        "page": page,
        "pages": desk.pages,
        "view": view,
        "links": links,
        "asking": asking,
        "troubles": troubles,
        "token": desk.access.token(asking.request),
        "zone": asking.zone.key,
        "presets": [_preset(name, asking, links) for name in PRESETS],
        "chips": [{"text": each.text, "href": links.here(view.lacking(each)), "negated": each.negated} for each in view.filters],
        "cleared": links.here(replace(view, filters=(), search="")),
        "compared": links.here(replace(view, compare=not view.compare)),
        "period_text": period_text(asking.period, asking),
        "since": local_text(asking.period.since.replace(second=0, microsecond=0), asking.zone),
        "until": local_text((asking.period.until + timedelta(seconds=59)).replace(second=0, microsecond=0), asking.zone),
        "kept_pairs": view.pairs(),
        "fields": [(name, field.label) for name, field in filters.FIELDS.items() if name != PROPERTY],
        "key_name": caller.key.name if caller.key else "",
        "organization": str(caller.organization),
        "sees_all": asking.request.app.state.admission.sees_all(caller),
        "everybody": asking.request.app.state.admission.everybody,
        "may_sign_out": bool(asking.request.cookies.get("heliograph-session")),
    }


def _preset(name: str, asking: Asking, links: Linked) -> dict[str, Any]:
    view = asking.view
    chosen = view.span.since is None and view.span.preset == name
    return {"name": name, "title": PRESETS[name][1], "href": links.here(replace(view, span=Span(preset=name))), "chosen": chosen}


def period_text(period: Period, asking: Asking) -> str:
    """As people say it, in the viewer's zone."""
    since, until = period.since.astimezone(asking.zone), period.until.astimezone(asking.zone)
    year = "" if since.year == until.year == asking.now.astimezone(asking.zone).year else f" {since.year}"
    end_year = "" if not year else f" {until.year}"
    if since.date() == until.date():
        return f"{day_text(since)}{year}, {since:%H:%M} – {until:%H:%M}"
    return f"{day_text(since)}{year}, {since:%H:%M} – {day_text(until)}{end_year}, {until:%H:%M}"
