"""The viewer end to end: the command, a browser, and answers that try to break out of the page."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.viewer_runs import ANSWERS, make_run, write_step

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("there is no Chromium on PATH (apt-get install chromium)", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api")

QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
QUIET += ["--disable-sync", "--no-first-run"]
HOSTILE = (
    "<script>window.broken = 1</script>",
    "<img src=x onerror='window.broken = 2'><svg onload='window.broken = 3'>",
    r"$\href{javascript:window.broken=4}{click}$ \(\text{<img src=x onerror=window.broken=5>}\)",
    "</div></pre><iframe src='https://evil.example/'></iframe>&lt;script&gt;",
    "$" + "{" * 300 + "x" + "}" * 300 + r"$ \[" + r"\sideset{_a}{_b}{" * 30 + "x" + "}" * 30 + r"\]",
    r"$\style{background:url(https://evil.example/a)}{x}$ <link rel=stylesheet href=//evil.example>",
)


class Opened:
    """A page of a running `rlvr view`, with all that it asked for and every dialog."""

    def __init__(self, page: playwright.Page, address: str) -> None:
        self.page = page
        self.address = address
        self.requests: list[str] = []
        self.troubles: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("console", lambda message: message.type == "error" and self.troubles.append(message.text))
        page.on("dialog", lambda dialog: self.troubles.append(f"dialog {dialog.message}"))
        page.set_default_timeout(15_000)

    def visit(self, place: str = "") -> None:
        self.page.goto("about:blank")  # or else only what is behind the # would change
        self.page.goto(f"{self.address}#/{place}")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    make_run(folder / "a", range(1, 6), ANSWERS)
    make_run(folder / "b", range(1, 4), HOSTILE)
    make_run(folder / "c", [1])
    return folder


@pytest.fixture(scope="module")
def address(runs: Path) -> Iterator[str]:
    code = "import sys; from rlvr.commands.cli import main; sys.exit(main(sys.argv[1:]))"
    given = ["view", *(str(runs / name) for name in "abc"), "--no-browser", "--port", "0"]
    server = subprocess.Popen([sys.executable, "-c", code, *given], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    found = re.search(r"http://127\.0\.0\.1:\d+/", server.stdout.readline())
    assert found
    yield found[0]
    server.send_signal(signal.SIGINT)
    assert server.wait(20) == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: playwright.Browser, address: str) -> Iterator[Opened]:
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    opened = Opened(page, address)
    yield opened
    page.close()
    assert opened.troubles == []
    assert {urlsplit(url).netloc for url in opened.requests} == {urlsplit(address).netloc}


def test_from_the_curve_to_a_token(opened: Opened) -> None:
    page = opened.page
    opened.visit()
    page.get_by_text("60 rollouts").wait_for()
    page.locator("svg.curve").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.get_by_text("4 groups").wait_for()
    assert page.get_by_label("Steps from").input_value() == "4"
    page.get_by_role("link", name="Group 1 of step 4").press("Enter")
    page.get_by_text("3 rollouts").wait_for()
    page.get_by_role("link", name="Step 4, group 1, sample 0").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Verdict").wait_for()
    page.locator(".tokens .token").nth(2).click()
    card = page.locator("#token")
    assert "3 of" in card.inner_text()
    page.keyboard.press("End")
    assert "<eos>" in card.inner_text()
    assert "row=4" in page.url
    assert "token=" in page.url
    page.reload()
    page.locator("#token").wait_for()
    assert "<eos>" in page.locator("#token").inner_text()
    page.keyboard.press("]")
    page.get_by_text("rollout 2", exact=True).wait_for()


def test_filters_are_in_the_address(opened: Opened) -> None:
    page = opened.page
    opened.visit()
    page.get_by_text("60 rollouts").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("twelve")
    page.wait_for_url("**text=twelve**")
    shown = page.locator("tbody tr")
    page.get_by_text(re.compile(r"^\d+ rollouts")).wait_for()
    playwright.expect(shown.locator("td.text").filter(has_not_text="Twelve")).to_have_count(0)
    few = shown.count()
    assert 0 < few < 50
    page.locator("select[name=status]").select_option("wrong")
    page.wait_for_url("**status=wrong**")
    playwright.expect(shown.locator("td.status").filter(has_not_text="wrong")).to_have_count(0)
    address = page.url
    page.get_by_role("button", name="Clear").click()
    page.get_by_text("60 rollouts").wait_for()
    assert page.get_by_label("Answer contains").input_value() == ""
    page.goto(address)
    playwright.expect(shown.locator("td.status").filter(has_not_text="wrong")).to_have_count(0)
    assert page.get_by_label("Answer contains").input_value() == "twelve"


def test_pages_and_order(opened: Opened) -> None:
    page = opened.page
    opened.visit()
    page.get_by_text("1–50").wait_for()
    page.get_by_role("button", name="Next page").click()
    page.get_by_text("51–60").wait_for()
    page.get_by_role("button", name="Length").click()
    page.get_by_text("1–50").wait_for()
    page.locator("th[aria-sort=descending]", has_text="Length").wait_for()
    lengths = [int(text) for text in page.locator("tbody td:nth-child(8)").all_inner_texts()]
    assert lengths == sorted(lengths, reverse=True)


def test_every_colour_is_drawn(opened: Opened) -> None:
    page = opened.page
    opened.visit("rollouts?left_out=none")
    page.locator("tbody a").first.click()
    page.locator(".tokens").wait_for()
    control = page.get_by_label("Colour by")
    for name in control.locator("option").evaluate_all("(options) => options.map((option) => option.value)"):
        control.select_option(name)
        page.wait_for_url(f"**colour={name}**")
        coloured = page.locator(".tokens .token:is([class*=plus-], [class*=minus-], [class*=role-])")
        if name != "staleness":  # of sample 0 it is 0
            coloured.first.wait_for()


def test_two_runs_side_by_side(opened: Opened) -> None:
    page = opened.page
    opened.visit("compare")
    sides = page.locator(".side")
    sides.nth(1).get_by_text("rollouts, mean reward").wait_for()
    assert sides.nth(0).get_by_label("Run").input_value() == "0"
    assert sides.nth(1).get_by_label("Run").input_value() == "1"
    page.get_by_label("Search problems").fill("7 + 5")
    page.get_by_text("1 problems of both").wait_for()
    page.locator(".problems li button").first.click()
    page.wait_for_url("**problem=p-7**")
    for i in (0, 1):
        assert sides.nth(i).locator("details").count() == 3
        assert sides.nth(i).locator("details[open] .rendered").count() == 1


def test_hostile_answers_stay_text(opened: Opened) -> None:
    page = opened.page
    seen = set()
    opened.visit("rollouts?run=1")
    page.get_by_text("36 rollouts").wait_for()
    texts = page.locator("td.text").all_inner_texts()
    for i, text in enumerate(texts):
        if text in seen:
            continue
        seen.add(text)
        step, row = 3 - i // 12, i % 12
        opened.visit(f"rollout?run=1&stage=rl&kind=train&step={step}&row={row}")
        page.locator(".rendered").first.wait_for()
        assert page.locator("main :is(script, img, iframe, link, object, a[href^=javascript])").count() == 0
    assert len(seen) == len(HOSTILE)
    opened.visit("compare?left=1/rl/train&right=1/rl/train")
    for box in page.locator("summary").all():
        box.click()
    page.wait_for_load_state("networkidle")
    assert page.evaluate("window.broken") is None


def test_new_steps_appear(opened: Opened, runs: Path) -> None:
    opened.visit("rollouts?run=2")
    opened.page.get_by_text("12 rollouts").wait_for()
    write_step(runs / "c" / "rl", 2)
    opened.page.get_by_text("24 rollouts").wait_for()
    opened.page.get_by_text("2 steps").wait_for()


def test_a_bad_address_gets_a_message(browser: playwright.Browser, address: str) -> None:
    page = browser.new_page()
    page.goto(f"{address}#/rollout?run=0&stage=rl&kind=train&step=77&row=0")
    page.get_by_text("That did not work").wait_for()
    assert "step_000077" in page.locator("main").inner_text()
    page.close()
