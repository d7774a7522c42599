"""Answers of the dashboard: templates with everything escaped, and the headers that keep a page to itself."""

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from storage.dashboard import units
from storage.dashboard.assets import LEAST_GZIPPED, Assets
from storage.dashboard.page import BASE

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}


def environment(assets: Assets) -> Environment:
    """Everything is escaped, and a name that a template was not given is a fault."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= dict(units.FORMATS)
    made.globals |= {"asset": assets.url, "BASE": BASE, "UNKNOWN": units.UNKNOWN}
    return made


class Writer:
    """Writes templates out."""

    def __init__(self, assets: Assets) -> None:
        self._environment = environment(assets)

    def text(self, template: str, shown: Mapping[str, Any]) -> str:
        return self._environment.get_template(template).render(shown)

    def html(self, request: Request, template: str, shown: Mapping[str, Any], status: int = 200) -> Response:
        body = self.text(template, shown).encode("utf-8", "replace")
        headers = dict(HEADERS)
        if "gzip" in request.headers.get("accept-encoding", "") and len(body) >= LEAST_GZIPPED:
            body = gzip.compress(body, 4, mtime=0)
            headers |= {"content-encoding": "gzip", "vary": "accept-encoding"}
        return Response(body, status, headers, "text/html; charset=utf-8")
