"""The site, built once: every link and picture is there, nothing asks outside, and a page of each kind in a browser."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import site_check  # noqa: E402
import website  # noqa: E402

PHONE = (
    *("index.html", "notebooks/00_start_here.html", "notebooks/assignments/for_students.html"),
    "notebooks/assignments/release/a3_annealing/a3_annealing.html",
    *("ncsn_edu/weights/ddpm_digits.html", "api/mcmc.html", "search.html"),
    "notebooks/02_langevin.html",  # with an explorer that lives
)
DESK = ("notebooks/symbols.html", "api/schedules.html", "notebooks/07_annealing.html")  # with a run at a button
# Each page that was found is fetched for its summary; a function or a class has a word about itself instead.
SUMMARISED = (
    """() => [...document.querySelectorAll("#search-results li")].every((li) => li.querySelector(".context, span"))"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "site"
    website.build(folder)
    return folder


def test_every_link_and_picture_is_there_and_nothing_asks_outside(site: Path) -> None:
    asked, broken, outside, silent = site_check.links(site)
    pages = len(list(site.rglob("*.html")))
    print(f"{pages} pages, {asked} links and pictures")
    assert pages > 60 and asked > 5000
    assert (broken, outside, silent) == ([], [], [])
    assert len([*site.glob("notebooks/assignments/release/*/a?_*.html")]) == 5
    assert "Apache License" in (site / "_static" / "mathjax" / "LICENSE").read_text("utf-8")
    live, still = ((site / "notebooks" / f"{n}.html").read_text("utf-8") for n in ("01_scores", "06_low_density"))
    says = "In JupyterLab this picture has controls"
    assert "data-ncsn-explorer=" in live and says not in live and says in still


def test_pages_on_a_phone_in_the_dark_and_for_screen_readers(site: Path, browser) -> None:
    axe = site_check.axe_script()
    with site_check.served(site) as address:
        found = site_check.looked_at(browser, address, PHONE, axe, [("light", site_check.PHONE)])
        found += site_check.looked_at(browser, address, DESK, axe, [("dark", site_check.DESK)])
    assert found == []


def test_formulas_and_search_work_without_anything_from_outside(site: Path, page) -> None:
    with site_check.served(site) as address:
        page.route(lambda url: not url.startswith(address), lambda route: route.abort())
        page.goto(address + "notebooks/01_scores.html")
        explorer = page.locator(".ncsn-explorer").first
        explorer.locator("canvas").wait_for()  # it lives here
        explorer.locator(".ncsn-readout b").first.wait_for()
        before = explorer.locator(".ncsn-readout").inner_text()
        explorer.get_by_role("slider", name="distance", exact=True).press("ArrowRight")
        explorer.locator(".ncsn-readout").filter(has_not_text=before).wait_for()
        page.locator("mjx-container").first.wait_for()
        assert page.locator("mjx-merror").count() == 0
        page.goto(address + "search.html?q=MALA")
        page.locator("#search-results .context").first.wait_for()  # from a page that was found
        page.locator("#search-results").get_by_text("Search finished").wait_for()
        page.wait_for_function(SUMMARISED)  # the server stays until then
