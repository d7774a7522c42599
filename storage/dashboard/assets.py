"""The dashboard's own scripts, styles and pictures, at addresses that change with them, so that browsers may keep them for ever."""

import gzip
import hashlib
from pathlib import Path

from fastapi import Request, Response
from msgspec import Struct

from storage.dashboard.page import BASE

FOLDER = Path(__file__).parent / "static"
MEDIA = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
LEAST_GZIPPED = 1024


class Asset(Struct, frozen=True):
    body: bytes
    gzipped: bytes
    media: str


class Assets:
    """All of them, read once. Modules name each other by relative addresses, so one digest stands for the folder."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files = {path.name: _asset(path) for path in sorted(folder.iterdir()) if path.suffix in MEDIA}
        told = hashlib.sha256()
        for name, asset in self._files.items():
            told.update(b"%d %s %d " % (len(name), name.encode(), len(asset.body)) + asset.body)
        self.digest = told.hexdigest()[:12]

    def url(self, name: str) -> str:
        """Raises KeyError for one there is not: a template is wrong then."""
        if name not in self._files:
            raise KeyError(name)
        return f"{BASE}/static/{self.digest}/{name}"

    def answer(self, digest: str, name: str, request: Request) -> Response:
        """A page from before an upgrade names an old digest; it gets what there is, and does not keep it."""
        asset = self._files.get(name)
        if asset is None:
            return Response("There is no such file.", 404, media_type="text/plain")
        headers = {
            "cache-control": "public, max-age=31536000, immutable" if digest == self.digest else "no-cache",
            "etag": f'"{self.digest}"',
            "vary": "accept-encoding",
            "x-content-type-options": "nosniff",
            "cross-origin-resource-policy": "same-origin",
            "content-security-policy": "default-src 'none'; style-src 'self'",
        }
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(asset.gzipped, headers=headers | {"content-encoding": "gzip"}, media_type=asset.media)
        return Response(asset.body, headers=headers, media_type=asset.media)


def _asset(path: Path) -> Asset:
    body = path.read_bytes()
    return Asset(body, gzip.compress(body, 9, mtime=0), MEDIA[path.suffix])
