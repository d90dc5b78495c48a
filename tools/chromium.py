"""The browser in which tests and tools look at pages. This file does NOT start it."""

import os
import shutil
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def program(playwright: Any) -> str:
    """The path of Chromium: the one that CHROMIUM names, or the system's, or Playwright's own, which may be missing."""
    system = next(filter(None, map(shutil.which, NAMES)), None)
    return os.environ.get("CHROMIUM") or system or playwright.chromium.executable_path
