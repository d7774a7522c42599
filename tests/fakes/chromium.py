"""Where a Chromium is that tests may drive."""

import functools
import os
import shutil


@functools.cache
def program() -> str | None:
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def missing() -> str | None:
    """Why there is none, with the remedy; None when there is."""
    return None if program() else "install chromium, or name it in CHROMIUM"
