"""A page as Chromium shows it: what it asked for, what it complained of, and what axe-core finds wrong with it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Where axe-core is after `make test-browser`.
AXE = Path(__file__).parent / "browser" / "node_modules" / "axe-core" / "axe.min.js"
#: What Chromium takes so that it does nothing but show the page; root needs it without its own sandbox.
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]  # fmt: skip
#: Violations of this weight fail a test.
_GRAVE = ("serious", "critical")


def chromium() -> str | None:
    """The browser that is installed, if any."""
    named = os.environ.get("FFPIPE_CHROMIUM")
    return named or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )


@dataclass
class Opened:
    """A page with the addresses that it asked for and every complaint, dialog and error since it was opened."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Note from now on what the page does beside being read."""
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("console", self._heard)
        self.page.on("dialog", self._dialog)

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _dialog(self, dialog: Any) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def strangers(self, *known: str) -> list[str]:
        """What was asked for beside these addresses; pictures that stand in the page are no request."""
        return [url for url in self.requests if url not in known and not url.startswith("data:")]

    def violations(self) -> list[str]:
        """What axe-core calls serious or critical: rule and the first elements."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        return [
            f"{each['id']} ({each['impact']}): {[node['html'][:200] for node in each['nodes'][:3]]}"
            for each in found
            if each["impact"] in _GRAVE
        ]

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        return int(
            self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        )

    def clipped(self) -> list[str]:
        """Elements in sight that reach out of the page's width, or hide a part of what they hold."""
        return list(self.page.evaluate(_CLIPPED))


_CLIPPED = """() => Array.from(document.querySelectorAll("main *")).filter(element => {
  const box = element.getBoundingClientRect();
  if (!box.width || !box.height || element.closest("details:not([open]) > :not(summary)")) return false;
  const hides = getComputedStyle(element).overflowX !== "visible" && element.tagName !== "svg"
    && element.scrollWidth > element.clientWidth + 1;
  return hides || box.right > document.documentElement.clientWidth + 1 || box.left < -1;
}).slice(0, 5).map(element => element.outerHTML.slice(0, 200))"""
