"""The archive reader gives what tarfile gives, and refuses what would cost memory, time or files."""

from __future__ import annotations

import gzip
import os
import random
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from picture_sets import bomb, member, write_tar

from ffpipe.manifests.tars import Member, TarFault, TarReader


def read(path: Path) -> dict[str, bytes]:
    with TarReader(str(path)) as reader:
        return {m.name: b"".join(reader.content()) for m in reader.members() if m.is_file}


def kinds(path: Path) -> dict[str, Member]:
    with TarReader(str(path)) as reader:
        return {m.name: m for m in reader.members()}


FILES = {
    "a/1.png": b"one",
    "./a/2.png": bytes(range(256)) * 11,
    "empty.png": b"",
    f"{'long/' * 40}{'x' * 90}.png": b"long" * 200,
    "ümläut \n.png": b"u",
    os.fsdecode(b"raw\xff.png"): b"raw",
}


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_files_are_those_that_tarfile_reads(tmp_path, suffix, form):
    path = write_tar(tmp_path / f"x{suffix}", FILES, form)
    expected = {name.removeprefix("./"): data for name, data in FILES.items()}
    assert read(path) == expected
    with tarfile.open(path) as archive:
        offsets = {m.name.removeprefix("./"): m.offset for m in archive.getmembers()}
    assert {name: m.start for name, m in kinds(path).items()} == offsets


def test_ustar_prefixes_are_joined(tmp_path):
    name = f"{'p' * 80}/{'q' * 80}.png"
    assert read(write_tar(tmp_path / "x.tar", {name: b"1"}, tarfile.USTAR_FORMAT)) == {name: b"1"}


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_reading_goes_on_from_a_member_s_start(tmp_path, suffix):
    files = {f"{n}.png": os.urandom(3_000_000 if n == 1 else 700) for n in range(4)}
    path = write_tar(tmp_path / f"x{suffix}", files)
    start = kinds(path)["2.png"].start
    with TarReader(str(path)) as reader:
        reader.skip_to(start)
        assert [m.name for m in reader.members()] == ["2.png", "3.png"]
        with pytest.raises(ValueError, match="behind"):
            reader.skip_to(0)


def test_what_is_no_plain_file_is_told_by_kind(tmp_path):
    members = [
        member("hard", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
        member("soft.png", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
        member("disk", type=tarfile.BLKTYPE),
        member("pipe", type=tarfile.FIFOTYPE),
        member("folder/", type=tarfile.DIRTYPE),
        member("/etc/x.png", b"absolute"),
        member("a/../../x.png", b"up"),
        member("last.png", b"sound"),
    ]
    found = kinds(write_tar(tmp_path / "x.tar", members))
    assert {name: m.refusal() for name, m in found.items()} == {
        "hard": "a hard link in an archive",
        "soft.png": "a symbolic link in an archive",
        "null": "a character device in an archive",
        "disk": "a block device in an archive",
        "pipe": "a named pipe in an archive",
        "folder": "a folder in an archive",
        "/etc/x.png": "an absolute name in an archive",
        "a/../../x.png": "a name in an archive that leads out of it",
        "last.png": None,
    }


def test_a_sparse_file_is_none(tmp_path):
    info, data = member("s.png", b"1\n0\n4\nabcd")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "4"}
    path = write_tar(tmp_path / "x.tar", [(info, data), member("next.png", b"n")], tarfile.PAX_FORMAT)
    found = kinds(path)
    assert found["s.png"].kind == "a sparse file"
    assert found["next.png"].is_file


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_an_archive_cut_short_gives_what_comes_before(tmp_path, suffix, share):
    files = {f"{n}.png": os.urandom(20_000) for n in range(10)}
    path = write_tar(tmp_path / f"x{suffix}", files)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    found = {}
    with TarReader(str(path)) as reader, pytest.raises(TarFault, match="cut short|ends in the middle"):
        for m in reader.members():
            found[m.name] = b"".join(reader.content())
    assert 0 < len(found) < 10
    assert found.items() <= files.items()


def test_a_damaged_stream_is_a_fault(tmp_path):
    path = write_tar(tmp_path / "x.tar.gz", {f"{n}.png": os.urandom(20_000) for n in range(10)})
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(content)
    with pytest.raises(TarFault, match="damaged"):
        read(path)


@pytest.mark.parametrize(
    "content", [b"", b"no archive" * 200, gzip.compress(b"no archive" * 200), b"\x1f\x8b" * 40]
)
def test_what_is_no_archive_says_so(tmp_path, content):
    path = tmp_path / "x.tar"
    path.write_bytes(content)
    if content:
        with pytest.raises(TarFault, match="not a tar archive|damaged|cut short"):
            read(path)
    else:
        assert read(path) == {}


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.tar")
    with pytest.raises(TarFault, match="not a regular file"):
        TarReader(str(tmp_path / "x.tar"))


def test_a_bomb_is_given_up_early_and_costs_no_memory(tmp_path):
    path = bomb(tmp_path / "x.tar.gz", 256)
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    try:
        with TarReader(str(path)) as reader, pytest.raises(TarFault, match="times its size; given up"):
            for _ in reader.members():
                for _block in reader.content():
                    pass
        assert reader.position < 200 << 20
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_a_header_extension_that_claims_gigabytes_is_refused(tmp_path):
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 3 << 30
    path = tmp_path / "x.tar"
    path.write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))
    with pytest.raises(TarFault, match="extension of 3221225472 bytes"):
        read(path)


def test_a_size_beyond_the_archive_is_a_fault(tmp_path):
    header = tarfile.TarInfo("x.png")
    header.size = 1 << 60
    path = tmp_path / "x.tar"
    path.write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))
    with TarReader(str(path)) as reader, pytest.raises(TarFault, match="ends in the middle"):
        list(reader.members())


def test_mutants_end_with_a_fault_or_members_and_nothing_else(tmp_path):
    sound = write_tar(tmp_path / "x.tar", FILES, tarfile.PAX_FORMAT).read_bytes()
    chance = random.Random(0)
    path = tmp_path / "mutant.tar"
    faults = 0
    for _ in range(200):
        mutant = bytearray(sound)
        for _ in range(chance.randint(1, 8)):
            mutant[chance.randrange(len(mutant))] = chance.randrange(256)
        path.write_bytes(mutant[: chance.randrange(1, len(mutant))])
        try:
            read(path)
        except TarFault:
            faults += 1
    assert faults > 50
