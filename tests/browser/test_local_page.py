"""The local page in Chromium: files go in, verdicts come out, nothing is asked elsewhere, and no other page gets in."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import Opened
from media import make_face_clip
from served import Served, serving
from small_weights import make_tiny_weights

pytestmark = pytest.mark.browser

Show = Callable[..., Opened]
#: A scoring takes its time where others use the machine too, in milliseconds.
_PATIENCE = 300_000


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("home")
    make_tiny_weights(home / "models" / "meso4" / "one")
    with serving(home, "--max-files", "3", "--max-bytes", "5000000") as running:
        yield running


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_face_clip(tmp_path_factory.mktemp("clips") / "made <b>here.mp4").path


def put_in(opened: Opened, *files: Path) -> None:
    opened.page.set_input_files("#files", [str(file) for file in files])
    opened.page.get_by_role("button", name="Score", exact=False).click()


def verdicts(opened: Opened, name: str) -> Any:
    """The table of the newest batch with this file, once it is there."""
    table = opened.page.locator(".batch", has_text=name).first.locator("table.verdicts")
    table.wait_for(timeout=_PATIENCE)
    return table


def assert_quiet(opened: Opened, served: Served) -> None:
    """It asked its own server alone; what else Chromium complains of fails where the page was opened."""
    assert [url for url in opened.requests if not url.startswith((served.home, "data:"))] == []


def test_a_clip_goes_in_and_its_report_opens(show: Show, served: Served, clip: Path, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no medium")
    opened = show(served.address)
    put_in(opened, clip, text)
    opened.page.locator(".batch progress").first.wait_for(timeout=_PATIENCE)
    rows = verdicts(opened, clip.name).locator("tbody tr")
    assert rows.count() == 2
    assert "made <b>here.mp4" in rows.nth(0).inner_text()
    assert "not assessable" in rows.nth(1).inner_text()
    assert "no known video or image" in rows.nth(1).inner_text()
    assert "uploaded files were deleted" in opened.page.locator(".batch").first.inner_text()
    with opened.page.expect_download() as download:
        opened.page.get_by_role("link", name="report.csv", exact=True).first.click()
    assert "made <b>here.mp4" in Path(download.value.path()).read_text()
    opened.page.get_by_role("link", name="Open the report").first.click()
    opened.page.get_by_role("link", name="made <b>here.mp4").first.click()
    opened.page.wait_for_url("**/videos/*.html")
    assert "made <b>here.mp4" in opened.page.locator("main").inner_text()
    assert_quiet(opened, served)


@pytest.mark.slow
@pytest.mark.data
def test_a_real_clip_goes_in(show: Show, served: Served, clips: Path) -> None:
    found = clips / "fake" / "fomm_vox_sameper1.mp4"
    if not found.is_file():
        pytest.skip(f"{found} is not there")
    opened = show(served.address)
    put_in(opened, found)
    assert verdicts(opened, found.name).locator("tbody .verdict").count() == 1
    assert_quiet(opened, served)


def test_a_folder_is_dropped_and_hidden_or_large_files_are_named(
    show: Show, served: Served, tmp_path: Path
) -> None:
    folder = tmp_path / "holiday"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "a.mp4").write_bytes(b"a")
    (folder / ".hidden").write_bytes(b"b")
    (folder / "large.mp4").write_bytes(b"c" * 5_000_001)
    opened = show(served.address)
    opened.page.set_input_files("#folder", str(folder))
    opened.page.locator("#chosen").wait_for()
    assert opened.page.locator("#list li").all_inner_texts() == ["holiday/inner/a.mp4\n1 bytes"]
    notice = opened.page.locator("#notice").inner_text()
    assert "hidden name left out" in notice
    assert "holiday/large.mp4: 4.8 MiB is too large" in notice
    opened.page.set_input_files("#files", [str(folder / "inner" / "a.mp4")] * 3)
    assert "A batch may have 3 files; 1 left out" in opened.page.locator("#notice").inner_text()
    opened.page.get_by_role("button", name="Clear the list").click()
    assert opened.page.locator("#chosen").is_hidden()
    assert_quiet(opened, served)


def test_files_can_be_dropped(show: Show, served: Served) -> None:
    opened = show(served.address)
    opened.page.evaluate(
        """() => {
          const carried = new DataTransfer();
          carried.items.add(new File(["x"], "dropped\\u202e\\n.mp4"));
          const at = document.querySelector("#drop .call");
          at.dispatchEvent(new DragEvent("dragover", {dataTransfer: carried, bubbles: true, cancelable: true}));
          at.dispatchEvent(new DragEvent("drop", {dataTransfer: carried, bubbles: true, cancelable: true}));
        }"""
    )
    opened.page.locator("#list li").wait_for()
    assert "dropped\\u202e\\u000a.mp4" in opened.page.locator("#list li").inner_text()


def test_keys_alone_are_enough(show: Show, served: Served) -> None:
    opened = show(served.address)
    choosers: list[Any] = []
    # Long before the key: Chromium is told to hand the chooser over, and nothing says when it has heard that.
    opened.page.on("filechooser", lambda chooser: choosers.append(chooser))
    for name in ("files", "folder"):
        opened.page.keyboard.press("Tab")
        assert opened.page.evaluate("document.activeElement.id") == name
        opened.page.wait_for_timeout(500)
    opened.page.keyboard.press("Enter")
    opened.page.wait_for_timeout(500)
    for _ in range(100):
        if choosers:
            break
        opened.page.wait_for_timeout(100)
    assert choosers


def test_a_waiting_batch_is_stopped_and_removed(show: Show, served: Served, clip: Path) -> None:
    opened = show(served.address)
    put_in(opened, clip)
    opened.page.get_by_role("button", name="Stop", exact=True).first.click(timeout=_PATIENCE)
    opened.page.get_by_role("button", name="Go on").first.wait_for(timeout=_PATIENCE)
    title = opened.page.locator(".batch h3").first.get_attribute("id")
    opened.page.evaluate("window.confirm = () => true")
    opened.page.get_by_role("button", name="Remove").first.click()
    opened.page.locator(f"#{title}").wait_for(state="detached", timeout=_PATIENCE)
    assert_quiet(opened, served)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_small_and_large_and_axe_finds_nothing(
    show: Show, served: Served, clip: Path, scheme: str, axe: None
) -> None:
    opened = show(served.address, color_scheme=scheme)
    opened.page.set_input_files("#files", str(clip))
    opened.page.locator("#list li").wait_for()
    assert opened.violations() == []
    opened.page.set_viewport_size({"width": 360, "height": 740})
    assert opened.overflow() == 0
    assert opened.violations() == []


class _Other(http.server.BaseHTTPRequestHandler):
    """A page of somebody else on another port of this machine: the same site, another origin."""

    def do_GET(self) -> None:
        self.server.heard.append(dict(self.headers))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!DOCTYPE html><title>other</title>")

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


@pytest.fixture
def other() -> Iterator[http.server.ThreadingHTTPServer]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Other)
    server.heard = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


_TRY = """async ([home, method, mode]) => {
  try {
    const answer = await fetch(home + "api/batches", {method, mode, credentials: "include"});
    return answer.type === "opaque" ? "opaque" : await answer.text();
  } catch (error) { return "refused"; }
}"""


def test_another_page_can_neither_read_nor_post_nor_frame_nor_see_the_cookie(
    browser: Any, served: Served, other: http.server.ThreadingHTTPServer
) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(served.address)
    store = Path(str(served.process.args[5])) / "serve"  # type: ignore[index]
    before = {path.name for path in store.iterdir()}
    # The page that was opened asks on for its state, until it is left.
    page.goto("about:blank")
    answers = []
    page.on("response", lambda r: answers.append(r.status) if r.url.startswith(served.home) else None)
    for host in ("127.0.0.1", "localhost"):
        page.goto(f"http://{host}:{other.server_port}/")
        for method, mode in (("GET", "cors"), ("POST", "cors"), ("DELETE", "cors")):
            assert page.evaluate(_TRY, [served.home, method, mode]) == "refused"
        for method in ("GET", "POST"):
            assert page.evaluate(_TRY, [served.home, method, "no-cors"]) in ("opaque", "refused")
        page.evaluate(
            """home => new Promise(done => {
              const frame = Object.assign(document.createElement("iframe"), {name: "f", src: home, onload: done});
              document.body.append(frame);
              setTimeout(done, 3000);
            })""",
            served.home,
        )
        assert not any("Drop videos" in frame.content() for frame in page.frames)
    form = "home => { const f = document.createElement('form'); f.method = 'post'; f.action = home + 'api/batches';"
    with page.expect_navigation():
        page.evaluate(f"{form} document.body.append(f); f.submit(); }}", served.home)
    assert "another page asked for this" in page.content()
    context.close()
    assert answers
    assert set(answers) == {403}
    assert {path.name for path in store.iterdir()} == before
    # The other server's own path is not the cookie's.
    assert other.heard  # type: ignore[attr-defined]
    assert not any("cookie" in {name.lower() for name in headers} for headers in other.heard)  # type: ignore[attr-defined]


def test_a_browser_that_was_not_here_sees_nothing(browser: Any, served: Served) -> None:
    context = browser.new_context()
    page = context.new_page()
    answer = page.goto(served.home)
    assert answer.status == 403
    assert "not open to you" in page.content()
    context.close()
