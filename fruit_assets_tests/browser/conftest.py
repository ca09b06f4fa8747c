"""A server, a browser and two runs that all browser tests share: one that failed, one that finished.

Put here what is started once. Screenshots of every test land in test-artefacts/browser/; with
UPDATE_SCREENSHOTS naming a folder, those the README shows are copied there.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from fruit_assets_tests.browser.dagit import PROJECT, Dagit, start_dagit

_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
_ARTEFACTS = PROJECT / "test-artefacts" / "browser"
_README = ("lineage", "asset", "run", "checks", "plots", "contact_sheet", "automation")
# A limit for hangs, on the slowest machine: not an assertion about speed.
_RUN_SECONDS = 600
_PATIENCE = 240_000  # milliseconds, for what is to appear on a page
TOO_MANY_COMPONENTS = "ops: {pca_model: {config: {n_components: 1280}}}"

Shoot = Callable[..., Path]


@pytest.fixture(scope="package")
def dagit(collection, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dagit]:
    """`dagster dev` on a copy of the collection, so that a test may add an image to it."""
    folder = tmp_path_factory.mktemp("dagit")
    shutil.copytree(collection.images, folder / "images")
    server = start_dagit(folder, folder / "images", collection.weights)
    yield server
    server.stop()
    _ARTEFACTS.mkdir(parents=True, exist_ok=True)
    shutil.copy(folder / "dagster-dev.log", _ARTEFACTS)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    chromium = shutil.which("chromium")
    assert chromium, "The browser tests need Chromium: apt-get install chromium"
    expect.set_options(timeout=_PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(_FLAGS))
        yield browser
        browser.close()


def open_page(browser: Browser, dagit: Dagit) -> Page:
    context = browser.new_context(
        base_url=dagit.url, viewport={"width": 1440, "height": 900}, color_scheme="light", timezone_id="UTC"
    )
    page = context.new_page()
    page.set_default_timeout(_PATIENCE)
    return page


@pytest.fixture
def page(browser: Browser, dagit: Dagit, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A fresh page; what it showed last is kept as an artefact."""
    page = open_page(browser, dagit)
    yield page
    _ARTEFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=_ARTEFACTS / f"last-of-{request.node.name}.png")
    page.context.close()


@pytest.fixture(scope="package")
def shoot() -> Shoot:
    """`shoot(page, name, clip=None)`: a screenshot among the artefacts, and in the README's folder when asked for."""

    def shoot(page: Page, name: str, **options: object) -> Path:
        _ARTEFACTS.mkdir(parents=True, exist_ok=True)
        # Below the buttons, where nothing shows a hover.
        page.mouse.move(5, 400)
        page.wait_for_timeout(400)  # animations of the page, which have no state to wait for
        target = _ARTEFACTS / f"{name}.png"
        page.screenshot(path=target, **options)
        readme = os.environ.get("UPDATE_SCREENSHOTS")
        if readme and name in _README:
            shutil.copy(target, PROJECT / readme / target.name)
        return target

    return shoot


def launched_run(page: Page) -> str:
    """The address of the run that a click has just launched, from the message it leaves behind."""
    # The message goes after some seconds, its link can be read for longer.
    button, link = (page.get_by_role(role, name="View", exact=True) for role in ("button", "link"))
    page.goto(button.or_(link).first.element_handle().get_attribute("href"))
    page.wait_for_url("**/runs/*")
    return page.url


def wait_for_run(page: Page, dagit: Dagit, run: str, outcome: str) -> None:
    """Wait until a run has ended, and see that its page shows `outcome`: Success or Failure."""
    # Drawing a run as it goes takes the machine as much as the run itself does.
    page.goto("about:blank")
    dagit.wait_until_ended(run.rpartition("/")[2], _RUN_SECONDS)
    page.goto(run)
    expect(page.get_by_text(outcome, exact=True).first).to_be_visible()


def launched_by_a_click(page: Page) -> str:
    """Click on "Materialize all", with the defaults; the address of the run."""
    page.goto("/asset-groups")
    page.get_by_role("button", name="Materialize all").click()
    return launched_run(page)


@pytest.fixture(scope="package")
def failed_run(browser: Browser, dagit: Dagit) -> str:
    """Materialise all, from the launchpad, with more components than there are images."""
    page = open_page(browser, dagit)
    page.goto("/asset-groups")
    launch = page.get_by_role("button", name="Materialize all")
    launch.locator("xpath=../..").get_by_role("button").last.click()
    page.get_by_text("Open launchpad").click()
    editor = page.get_by_role("dialog").locator(".CodeMirror").first
    editor.evaluate("(element, text) => element.CodeMirror.setValue(text)", TOO_MANY_COMPONENTS)
    expect(page.get_by_text("No errors")).to_be_visible()
    page.get_by_role("dialog").get_by_role("button", name="Materialize").last.click()
    page.wait_for_url("**/runs/*")
    run = page.url
    wait_for_run(page, dagit, run, "Failure")
    page.context.close()
    return run


@pytest.fixture(scope="package")
def finished_run(browser: Browser, dagit: Dagit, failed_run: str) -> str:
    """Materialise all once more, by the first click that users try: the defaults fit."""
    page = open_page(browser, dagit)
    run = launched_by_a_click(page)
    wait_for_run(page, dagit, run, "Success")
    page.context.close()
    return run
