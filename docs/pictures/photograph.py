"""Photograph pages in light and dark, as somebody with a browser sees them.

kubectl port-forward -n cabc-auditor service/cabc-auditor 8080:8080
python docs/pictures/photograph.py http://localhost:8080/status docs/pictures/live-status
python docs/pictures/photograph.py http://localhost:8080/ docs/pictures/live-board --token "$TOKEN"
"""

# ruff: noqa: INP001 (a script, not part of a package)
from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Literal

from playwright.sync_api import sync_playwright

__all__: list[str] = []

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def main() -> None:
    """Photograph a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="a page, or a file: `file:///…`")
    parser.add_argument("picture", type=Path, help="without the ending: -light.png and -dark.png are added")
    parser.add_argument("--token", help="sign in at the auditor with this token first")
    parser.add_argument("--height", type=int, default=900)
    given = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for scheme in SCHEMES:
            page = browser.new_page(color_scheme=scheme, viewport={"width": 1240, "height": given.height})
            if given.token:
                root = "/".join(given.url.split("/")[:3])
                page.goto(f"{root}/login")
                page.get_by_label("Token").fill(given.token)
                page.get_by_label("Token").press("Enter")
                page.wait_for_url(lambda url: "/login" not in url)
            page.goto(given.url, wait_until="networkidle")
            page.screenshot(path=f"{given.picture}-{scheme}.png")
        browser.close()


if __name__ == "__main__":
    main()
