"""Look at every page of the site: links, pictures, requests to outside, width of a phone, accessibility.

python tools/site_check.py [FOLDER]     build/site by default; needs Chromium for the last three
"""

from __future__ import annotations

import argparse
import functools
import http.server
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import chromium

PHONE, DESK = {"width": 390, "height": 844}, {"width": 1400, "height": 1000}
View = tuple[str, dict[str, int]]
VIEWS: tuple[View, ...] = tuple((scheme, size) for scheme in ("light", "dark") for size in (PHONE, DESK))
SERIOUS = {"serious", "critical"}
LOADS = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}


class Page(HTMLParser):
    """What a page points at, what it loads, what can be pointed at, and its pictures without words."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.ids: set[str] = set()
        self.silent: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.ids.add(given["id"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if given.get(LOADS.get(tag, "")):
            self.loads.append(given[LOADS[tag]])
        if tag == "img" and not given.get("alt", "").strip(". "):
            self.silent.append(given.get("src", ""))


def links(site: Path) -> tuple[int, list[str], list[str], list[str]]:
    """How many links and loads inside the site were asked; which are broken, go outside, lack an alt text."""
    pages = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    asked, broken, outside, silent = 0, [], [], []
    for path, page in pages.items():
        name = path.relative_to(site).as_posix()
        silent += [f"{name}: {picture}" for picture in page.silent]
        for place in [*page.links, *page.loads]:
            parts = urlsplit(place)
            if parts.scheme or parts.netloc:
                outside += [f"{name}: {place}"] * (place in page.loads and parts.scheme != "data")
                continue
            asked += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            there = target.is_file() and (
                not parts.fragment or target not in pages or unquote(parts.fragment) in pages[target].ids
            )
            broken += [] if there else [f"{name}: {place}"]
    for sheet in site.rglob("*.css"):
        told = re.findall(r"(?:url\(|@import)\s*[\"']?(https?:)?//", sheet.read_text(encoding="utf-8"))
        outside += [sheet.name] * bool(told)
    return asked, broken, outside, silent


@contextmanager
def served(site: Path) -> Iterator[str]:
    """The address of the site on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def looked_at(browser: Any, address: str, names: Sequence[str], axe: str, views: Iterable[View] = VIEWS) -> list[str]:
    """What is wrong with the pages in a browser: too wide, asking outside, broken scripts, findings of axe."""
    found: list[str] = []
    for scheme, size in views:
        context = browser.new_context(viewport=size, color_scheme=scheme)
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.on("pageerror", lambda error, found=found: found.append(f"a script failed: {error}"))
        for name in names:
            place = f"{name}, {scheme}, {size['width']} pixels"
            page.goto(address + name, wait_until="load")
            page.evaluate("() => window.MathJax?.startup?.promise")
            width = page.evaluate("() => document.documentElement.scrollWidth")
            found += [f"{place}: {width} pixels wide"] * (width > size["width"])
            found += [f"{place}: {problem}" for problem in findings(page, axe)]
        found += [f"asks outside: {url}" for url in asked if not url.startswith((address, "data:"))]
        context.close()
    return found


def findings(page: Any, axe: str, within: str = "html") -> list[str]:
    """What axe finds in the parts of an open page that a selector names: the serious and the critical."""
    page.evaluate(axe)
    result = page.evaluate("part => axe.run({include: [[part]]}, {resultTypes: ['violations']})", within)
    rules = [rule for rule in result["violations"] if rule["impact"] in SERIOUS]
    return [f"{rule['id']} ({len(rule['nodes'])}), {rule['nodes'][0]['html'][:160]}" for rule in rules]


def axe_script() -> str:
    import axe_playwright_python

    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


def main() -> None:
    """Say what was found; exit with 1 where there is anything."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).resolve().parents[1] / "build" / "site")
    site = parser.parse_args().folder.resolve()
    if not (site / "index.html").is_file():
        raise SystemExit(f"There is no site in {site}: make site")
    asked, *problems = links(site)
    broken, outside, silent = problems
    print(
        f"links and pictures: {asked} asked, {len(broken)} broken, {len(outside)} outside, {len(silent)} without words"
    )
    names = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    with sync_playwright() as playwright, served(site) as address:
        program = chromium.program(playwright)
        browser = playwright.chromium.launch(executable_path=program, args=chromium.FLAGS)
        found = looked_at(browser, address, names, axe_script())
        browser.close()
    print(f"{len(names)} pages, light and dark, phone and desk: {len(found)} findings")
    print(*broken, *outside, *silent, *found, sep="\n")
    raise SystemExit(1 if found or any(problems) else 0)


if __name__ == "__main__":
    main()
