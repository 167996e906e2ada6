from __future__ import annotations

import asyncio
import errno
from collections import namedtuple
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from local_page import LIMITS, Site, files_below, make_site
from names import NAMES
from starlette.requests import ClientDisconnect

from ffpipe.pipeline.serving import uploads
from ffpipe.pipeline.serving.batches import Batch, State
from ffpipe.pipeline.serving.refusal import Refused


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path)


async def body(*chunks: bytes | BaseException) -> AsyncIterator[bytes]:
    for chunk in chunks:
        if isinstance(chunk, BaseException):
            raise chunk
        yield chunk


def take(site: Site, batch: Batch, length: int | None, *chunks: Any, name: str = "a.mp4") -> Any:
    return asyncio.run(site.intake.take(batch, name, length, body(*chunks)))


def assert_refused(site: Site, batch: Batch, status: int, *given: Any, **more: Any) -> str:
    before = list(batch.uploads)
    with pytest.raises(Refused) as caught:
        take(site, batch, *given, **more)
    assert caught.value.status == status
    assert batch.uploads == before
    assert len(list(site.store.uploads(batch).iterdir())) == len(before)
    return caught.value.message


def test_a_file_is_stored_whole_under_a_name_of_its_own(site: Site) -> None:
    batch = site.begin()
    content = bytes(range(250)) * 4
    answer = site.send(batch, content, "../../etc/passwd")
    assert (answer.status_code, answer.json()["bytes"]) == (201, 1000)
    (file,) = site.store.uploads(batch).iterdir()
    assert file.read_bytes() == content
    assert file.name == answer.json()["id"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert batch.uploads[0].name == "../../etc/passwd"


def test_a_large_body_comes_in_pieces(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_BLOCK", 7)
    batch = site.begin()
    take(site, batch, 100, *[b"0123456789"] * 10)
    (file,) = site.store.uploads(batch).iterdir()
    assert file.read_bytes() == b"0123456789" * 10


def test_the_largest_file_fits_and_one_byte_more_does_not(site: Site) -> None:
    batch = site.begin()
    assert site.send(batch, b"x" * LIMITS.file_bytes).status_code == 201
    answer = site.send(batch, b"x" * (LIMITS.file_bytes + 1))
    assert answer.status_code == 413
    assert "too large" in answer.json()["error"]
    assert len(list(site.store.uploads(batch).iterdir())) == 1


def test_the_last_file_fits_and_one_more_does_not(site: Site) -> None:
    batch = site.begin()
    for _ in range(LIMITS.batch_files):
        assert site.send(batch, b"x").status_code == 201
    assert "begin another one" in assert_refused(site, batch, 413, 1, b"x")


def test_all_uploads_together_have_a_limit(site: Site) -> None:
    first, second = site.begin(), site.begin()
    for batch in (first, first, second, second):
        assert site.send(batch, b"x" * 1000).status_code == 201
    assert "are taken" in assert_refused(site, second, 507, 1, b"x")
    assert site.ask("DELETE", f"api/batches/{first.id}").status_code == 204
    assert site.send(second, b"x").status_code == 201


def test_the_disk_keeps_some_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = make_site(tmp_path, replace(LIMITS, free_bytes=500))
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(2000, 1000, 600))
    batch = site.begin()
    take(site, batch, 100, b"x" * 100)
    assert "stay free" in assert_refused(site, batch, 507, 101, b"x" * 101)


def test_a_full_disk_is_one_line_and_leaves_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    batch = site.begin()
    monkeypatch.setattr("os.fsync", full)
    answer = site.send(batch, b"x")
    assert answer.status_code == 507
    assert "No space left" in answer.json()["error"]
    assert list(site.store.uploads(batch).iterdir()) == []
    assert batch.uploads == []


@pytest.mark.parametrize(
    ("status", "length", "chunks"),
    [
        (400, 10, (b"12345",)),
        (400, 10, (b"12345", ClientDisconnect())),
        (400, 10, ()),
        (400, 10, (b"1234567890", b"1")),
        (400, 0, (b"1",)),
        (411, None, (b"1",)),
    ],
)
def test_a_body_of_another_length_leaves_nothing(
    site: Site, status: int, length: int | None, chunks: Any
) -> None:
    assert_refused(site, site.begin(), status, length, *chunks)


def test_a_sender_that_falls_silent_is_given_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "STALLED_SECONDS", 0.01)
    batch = site.begin()

    async def silent() -> AsyncIterator[bytes]:
        yield b"1"
        await asyncio.sleep(60)

    with pytest.raises(Refused, match="no byte came"):
        asyncio.run(site.intake.take(batch, "a", 2, silent()))
    assert list(site.store.uploads(batch).iterdir()) == []


def test_a_cancelled_request_leaves_nothing(site: Site) -> None:
    batch = site.begin()
    with pytest.raises(asyncio.CancelledError):
        take(site, batch, 3, b"1", asyncio.CancelledError())
    assert list(site.store.uploads(batch).iterdir()) == []
    assert site.intake._coming == {}


def test_uploads_at_the_same_time_do_not_pass_a_limit_together(tmp_path: Path) -> None:
    site = make_site(tmp_path, replace(LIMITS, batch_files=20))
    batch = site.begin()

    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(10):
            await asyncio.sleep(0)
            yield b"x" * 100

    async def together() -> list[Any]:
        asked = [site.intake.take(batch, f"{i}", 1000, slowly()) for i in range(8)]
        return await asyncio.gather(*asked, return_exceptions=True)

    results = asyncio.run(together())
    refused = [r for r in results if isinstance(r, Refused)]
    assert (len(refused), {r.status for r in refused}) == (4, {507})
    assert [file.stat().st_size for file in site.store.uploads(batch).iterdir()] == [1000] * 4
    assert site.store.stored_bytes() == LIMITS.stored_bytes


def test_no_file_comes_into_a_batch_that_was_started_or_removed_meanwhile(site: Site) -> None:
    started, removed = site.begin(), site.begin()
    site.send(started, b"x")

    async def then(action: Any) -> AsyncIterator[bytes]:
        yield b"1"
        action()
        yield b"2"

    with pytest.raises(Refused, match="removed or started"):
        asyncio.run(site.intake.take(started, "a", 2, then(lambda: site.queue.put(started))))
    with pytest.raises(Refused, match="removed or started"):
        asyncio.run(site.intake.take(removed, "a", 2, then(lambda: site.store.remove(removed))))
    assert started.state is State.QUEUED
    assert len(list(site.store.uploads(started).iterdir())) == 1
    assert not site.store.folder(removed).exists()
    assert "takes no more files" in assert_refused(site, started, 409, 1, b"x")


@pytest.mark.parametrize("raw", NAMES)
def test_any_name_comes_back_as_it_was(site: Site, raw: bytes) -> None:
    from urllib.parse import quote

    batch = site.begin()
    answer = site.ask("PUT", f"api/batches/{batch.id}/files?name={quote(raw)}", content=b"x")
    assert answer.status_code == 201
    assert batch.uploads[0].name.encode("utf-8", "surrogateescape") == raw
    site.queue.put(batch)
    (told,) = site.ask("GET", "api/batches").json()["batches"]
    assert told["uploads"][0]["name"].isprintable()
    assert {file.name for file in files_below(site.workspace.root)} == {"batch.json", batch.uploads[0].id}


@pytest.mark.parametrize("query", ["", "?name=", "?other=a", "?name=a%00b", f"?name={'x' * 4097}"])
def test_a_name_that_no_file_can_have_is_refused(site: Site, query: str) -> None:
    batch = site.begin()
    answer = site.ask("PUT", f"api/batches/{batch.id}/files{query}", content=b"x")
    assert answer.status_code == 400
    assert "name" in answer.json()["error"]
    assert batch.uploads == []
