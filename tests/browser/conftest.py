"""Fixtures of the tests in a real browser: Chromium once a file, and pages that must ask for nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from browsing import ARGUMENTS, AXE, Opened, chromium


# Not once a session: Playwright keeps an event loop running in this thread, in which no other test could run its own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, started once a file; skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = chromium()
    if path is None:
        pytest.skip("no Chromium here: apt-get install chromium, or name one in FFPIPE_CHROMIUM")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def axe() -> None:
    """Skips where axe-core is not installed."""
    if not AXE.is_file():
        pytest.skip("no axe-core here: make test-browser installs it")


@pytest.fixture
def show(browser: Any) -> Iterator[Callable[..., Opened]]:
    """`show(address, width=…, **context)` opens a page; at the end none may have complained."""
    contexts, shown = [], []

    def open_page(address: str, width: int = 1280, height: int = 900, **context: Any) -> Opened:
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, **context))
        opened = Opened(contexts[-1].new_page())
        opened.watch()
        shown.append(opened)
        opened.page.goto(address)
        return opened

    yield open_page
    for context in contexts:
        context.close()
    assert [opened.complaints for opened in shown if opened.complaints] == []
