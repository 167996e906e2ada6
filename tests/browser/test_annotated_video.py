"""The annotated video in Debian's Chromium: it loads, seeks, and shows a picture."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from ffpipe.stages.film import Film

CHROMIUM = shutil.which("chromium")

_LOAD = """() => new Promise((done) => {
  const video = document.querySelector("video");
  const told = () => done({error: video.error && video.error.message, duration: video.duration,
    width: video.videoWidth, height: video.videoHeight, time: video.currentTime, ready: video.readyState});
  video.onerror = told;
  video.onseeked = told;
  const seek = () => { video.currentTime = 1.5; };
  if (video.readyState >= 1) seek(); else video.onloadedmetadata = seek;
})"""


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's Chromium at chromium")
def test_chromium_plays_the_film_and_seeks_in_it(tmp_path):
    sync_api = pytest.importorskip("playwright.sync_api", reason="drives the browser")
    with Film(tmp_path / "film.mp4", 160, 96) as film:
        for number in range(20):
            film.add(np.full((96, 160, 3), 10 * number, np.uint8), 0.16 + number / 10)
        film.finish()
    (tmp_path / "page.html").write_text('<video src="film.mp4" muted preload="auto"></video>')
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto((tmp_path / "page.html").as_uri())
        told = page.evaluate(_LOAD)
        browser.close()
    assert told["error"] is None and told["ready"] >= 2
    assert (told["width"], told["height"]) == (160, 96)
    assert told["duration"] == pytest.approx(2.16, abs=0.15)
    assert told["time"] == pytest.approx(1.5, abs=0.01)
