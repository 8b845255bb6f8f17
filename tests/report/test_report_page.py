"""A report in a real browser: nothing is asked of any network, no script runs, all is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_report import hostile_run

from rlvr.record.runs import open_run
from rlvr.report.write import write_report

CHROMIUM = Path("/usr/bin/chromium")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=str(CHROMIUM), args=QUIET)
        yield opened
        opened.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_hostile_run_in_a_browser(browser: Any, tmp_path: Path, scheme: str) -> None:
    path = write_report(open_run(hostile_run(tmp_path / "run")), tmp_path / "report.html")
    page = browser.new_page(viewport={"width": 1100, "height": 800}, color_scheme=scheme)
    requests: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(path.as_uri())
    assert requests == [path.as_uri()]
    assert said == []  # nor was anything stopped by the policy
    assert page.evaluate("window.sentinel") is None
    assert page.locator("script, img, iframe, form, link").count() == 0
    heads = page.locator("h3").all_inner_texts()
    for head in ("Curves", "Estimators", "Where the time went", "Rewards and verdicts"):
        assert head in heads
    assert [text.split("\n")[0] for text in page.locator("h2").all_inner_texts()][:2] == [
        "What was run",
        "Result",
    ]
    assert page.locator("svg").count() >= 6
    # nothing sticks out to the side
    assert page.evaluate("document.documentElement.scrollWidth") <= 1100
    page.close()


def test_a_script_could_not_run_if_one_got_in(browser: Any, tmp_path: Path) -> None:
    """The policy in the page's head, tried on a copy into which a script and an image were put."""
    path = write_report(open_run(hostile_run(tmp_path / "run")), tmp_path / "report.html")
    put_in = '<script>window.sentinel=1</script><img src="http://127.0.0.1:9/x.png" onerror="sentinel=1">'
    path.write_text(path.read_text().replace("</main>", f"{put_in}</main>"))
    page = browser.new_page()
    page.goto(path.as_uri())
    assert page.locator("script").count() == 1
    assert page.evaluate("window.sentinel") is None
    page.close()


def test_it_fits_a_telephone(browser: Any, tmp_path: Path) -> None:
    path = write_report(open_run(hostile_run(tmp_path / "run")), tmp_path / "report.html")
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()
