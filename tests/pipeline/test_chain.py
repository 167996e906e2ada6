"""The chained log: every change but a whole rebuild shows, torn lines cost nothing, and processes share one chain."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ffpipe.manifests.errors import StorageError
from ffpipe.pipeline import chain


@pytest.fixture
def log(tmp_path: Path) -> Path:
    for number in range(5):
        chain.append(tmp_path / "log.jsonl", {"event": f"e{number}"})
    return tmp_path / "log.jsonl"


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines(keepends=True)


def edited(line: str, sealed: bool = False) -> str:
    entry = json.loads(line) | {"event": "another"}
    if sealed:
        entry["hash"] = chain.entry_hash(entry)
    return json.dumps(entry, sort_keys=True) + "\n"


def entry(sequence: int, digest: str, **facts: Any) -> str:
    return json.dumps({"sequence": sequence, "previous": "0", "hash": digest, **facts}) + "\n"


def test_an_untouched_log_is_whole_and_its_head_is_its_last_hash(log: Path) -> None:
    found = chain.check(log)
    assert found.whole
    assert [entry["sequence"] for entry in found.entries] == [1, 2, 3, 4, 5]
    assert found.head == json.loads(lines(log)[-1])["hash"]
    assert chain.check(log, found.head).whole
    assert chain.check(log, found.entries[1]["hash"]).whole, "a head of earlier is still there"
    empty = chain.check(log.with_name("none"))
    assert empty.whole
    assert empty.head is None


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda old: [*old[:2], edited(old[2]), *old[3:]], "entry 3 was changed"),
        (lambda old: [*old[:2], edited(old[2], sealed=True), *old[3:]], "entry 4 does not follow"),
        (lambda old: [*old[:2], *old[3:]], "entry 3 is missing"),
        (lambda old: [*old[:1], *old[3:]], "entries 2 to 3 are missing"),
        (lambda old: old[1:], "entry 1 is missing"),
        (lambda old: [old[0], old[2], old[1], *old[3:]], "entry 2 stands behind entry 3"),
        (lambda old: [*old[:3], old[2], *old[3:]], "entry 3 is there 2 times"),
        (lambda old: [*old[:2], "gone\n", *old[3:]], "line 3 is damaged"),
        (lambda old: [*old[:4], old[4][:30]], "line 5 is torn"),
        (lambda old: [entry(1, "x").replace('"x"', "[1]"), *old[1:]], "line 1 is damaged"),
        (lambda old: [*old, entry(6, "x").replace('"x"', "[1]")], "line 6 is damaged"),
        (lambda old: [*old, entry(6, "x", event="torn")], "line 6 is damaged"),
        (lambda old: [*old, entry(6, "x", event="torn", sha256=[1])], "line 6 is damaged"),
        (lambda old: [*old, entry(10**15, "x")], "entries 6 to 999999999999999 are missing"),
        (lambda old: [*old, entry(-(10**15), "x")], "entry -1000000000000000 stands behind entry 5"),
    ],
)
def test_what_was_done_to_a_log_is_named(log: Path, damage: Any, said: str) -> None:
    log.write_text("".join(damage(lines(log))))
    problems = chain.check(log).problems
    assert any(problem.startswith(said) for problem in problems), problems


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir])
def test_what_is_no_file_is_neither_waited_for_nor_written_to(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "log.jsonl")
    for use in (chain.check, chain.read_entries, lambda path: chain.append(path, {"event": "x"})):
        with pytest.raises(StorageError, match=r"log\.jsonl"):
            use(tmp_path / "log.jsonl")


def test_a_link_is_not_written_through(log: Path) -> None:
    other = log.with_name("other")
    other.write_text("kept")
    (log.with_name("link")).symlink_to(other)
    with pytest.raises(StorageError, match="symbolic link"):
        chain.append(log.with_name("link"), {"event": "x"})
    assert other.read_text() == "kept"


def test_only_a_head_noted_elsewhere_shows_a_cut_or_a_rebuilt_log(log: Path) -> None:
    head = chain.check(log).head
    log.write_text("".join(lines(log)[:3]))
    assert chain.check(log).whole, "nothing in the file says that there was more"
    assert "cut off or made anew" in chain.check(log, head).problems[0]
    log.unlink()
    for number in range(5):
        chain.append(log, {"event": f"forged {number}"})
    assert chain.check(log).whole, "tamper-evident, not forgery-proof"
    assert not chain.check(log, head).whole


def test_a_torn_line_is_put_aside_and_nothing_else_is_lost(log: Path) -> None:
    whole = log.read_bytes()
    torn = b'{"event": "half'
    log.write_bytes(whole + torn)
    assert not chain.check(log).whole
    added = chain.append(log, {"event": "next"})
    assert log.read_bytes().startswith(whole + torn + b"\n")
    found = chain.check(log)
    assert found.whole, found.problems
    assert found.notes == ["line 6 is torn; entry 6 put it aside"]
    assert [entry["event"] for entry in found.entries[-2:]] == [chain.TORN, "next"]
    assert added["sequence"] == 7


def test_entries_are_read_past_what_is_torn_but_not_past_what_is_damaged(log: Path) -> None:
    with log.open("ab") as file:
        file.write(b'{"half')
    assert len(chain.read_entries(log)) == 5
    chain.append(log, {"event": "next"})
    assert [entry["event"] for entry in chain.read_entries(log)][5:] == [chain.TORN, "next"]
    log.write_text("".join([*lines(log)[:2], "gone\n", *lines(log)[3:]]))
    with pytest.raises(StorageError, match="line 3 is no entry"):
        chain.read_entries(log)
    assert chain.read_entries(log.with_name("none")) == []


def test_lines_of_before_there_was_a_chain_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "openings.jsonl"
    path.write_text('{"opening": 1}\n{"opening": 2}\n')
    assert chain.append(path, {"opening": 3})["sequence"] == 3
    found = chain.check(path)
    assert found.whole, found.problems
    assert len(found.notes) == 2


def test_a_full_disk_leaves_the_log_as_it_was(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = log.read_bytes()
    write = os.write

    def full(descriptor: int, content: bytes) -> int:
        if len(content) > 20:
            return write(descriptor, content[:20])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", lambda d, c: full(d, c[:20] if len(c) > 20 else c[:1]))
    with pytest.raises(StorageError, match="No space left"):
        chain.append(log, {"event": "too much"})
    monkeypatch.undo()
    assert log.read_bytes() == before
    assert chain.check(log).whole


def test_processes_that_append_at_once_keep_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    code = (
        "import sys; from pathlib import Path; from ffpipe.pipeline import chain\n"
        "for k in range(20): chain.append(Path(sys.argv[1]), {'event': sys.argv[2], 'k': k, 'fill': 'x' * 5000})"
    )
    started = [subprocess.Popen([sys.executable, "-c", code, str(path), name]) for name in "abc"]
    assert [process.wait() for process in started] == [0, 0, 0]
    found = chain.check(path)
    assert found.whole, found.problems
    assert len(found.entries) == 60
    for name in "abc":
        assert [entry["k"] for entry in found.entries if entry["event"] == name] == list(range(20))
