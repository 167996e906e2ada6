"""Which pictures are a sequence, in which order, and its content hash, packed and extracted alike."""

from __future__ import annotations

import hashlib
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from picture_sets import member, png, pngs, write_files, write_tar

from ffpipe.manifests.content import sequence_hash
from ffpipe.manifests.pictures import (
    folder_pictures,
    hash_of,
    list_tar,
    missing_text,
    natural_key,
    pictures_in,
)
from ffpipe.manifests.tars import TarFault


def test_numbers_in_names_count_by_value():
    names = ["10.png", "9.png", "100.png", "a.png", "a10b2.png", "a9b10.png", "009.png", "-1.png"]
    assert sorted(names, key=natural_key) == [
        "009.png", "9.png", "10.png", "100.png", "-1.png", "a9b10.png", "a10b2.png", "a.png",
    ]  # fmt: skip


@given(st.lists(st.text(max_size=8), unique=True, max_size=12))
def test_any_names_have_an_order_of_their_own(names):
    encodable = [name for name in names if not any("\ud800" <= c <= "\udfff" for c in name)]
    assert len({natural_key(name) for name in encodable}) == len(encodable)
    assert sorted(encodable, key=natural_key) == sorted(encodable[::-1], key=natural_key)


def test_a_run_of_thousands_of_digits_is_a_name_too():
    assert natural_key("9" * 10_000 + ".png")


def test_packed_and_extracted_it_is_one_content_whatever_the_order_in_the_archive(tmp_path):
    files = pngs("1/fake/7", [10, 9, 100, 2])
    folder = write_files(tmp_path, files) / "1/fake/7"
    packed = list_tar(str(write_tar(tmp_path / "1.tar.gz", files))).sequences["1/fake/7"]
    assert packed.names == tuple(f"1/fake/7/{n}.png" for n in (2, 9, 10, 100))
    extracted = folder_pictures(str(folder), [path.name for path in folder.iterdir()])
    assert hash_of(extracted) == packed.sha256 == hash_of(packed)
    renamed = list_tar(str(write_tar(tmp_path / "2.tar", pngs("x", [2, 9, 10, 100])))).sequences["x"]
    assert renamed.sha256 == packed.sha256
    other = list_tar(str(write_tar(tmp_path / "3.tar", pngs("x", [2, 9, 10])))).sequences["x"]
    assert other.sha256 != packed.sha256


def test_an_archive_s_folders_are_its_sequences(tmp_path):
    files = {
        **pngs("./3/fake/1", [0, 1]),
        **pngs("./3/fake/11", [0]),
        "3/notes.txt": b"t",
        "3/clip.mp4": b"v",
    }
    files |= {"3/fake/1/._0.png": b"apple", "top.png": png(5)}
    content = list_tar(str(write_tar(tmp_path / "3.tar.gz", files)))
    assert {k: len(v.names) for k, v in content.sequences.items()} == {"3/fake/1": 2, "3/fake/11": 1, ".": 1}
    assert content.companions == {".txt": 1, "hidden": 1}
    assert [(Path(s.path).name, s.reason) for s in content.skipped] == [
        ("clip.mp4", "no picture by its name")
    ]
    assert content.sequences["3/fake/1"].bytes == sum(len(png(n)) for n in (0, 1))
    assert content.fault is None
    assert [path.name for path in tmp_path.iterdir()] == ["3.tar.gz"], "nothing is unpacked"


def test_hostile_members_are_skipped_with_a_reason_and_nothing_is_written(tmp_path):
    members = [
        member("/tmp/ffpipe-absolute.png", png(1)),
        member("../up.png", png(1)),
        member("s/link.png", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("s/hard.png", type=tarfile.LNKTYPE, linkname="s/1.png"),
        member("s/pipe.png", type=tarfile.FIFOTYPE),
        member("s/dev.png", type=tarfile.CHRTYPE),
        member("s/1.png", png(1)),
        member("s/1.png", png(2)),
        member("/abs/", type=tarfile.DIRTYPE),
    ]
    folder = tmp_path / "only"
    content = list_tar(str(write_tar(folder / "x.tar.gz", members)))
    assert list(content.sequences) == ["s"]
    assert content.sequences["s"].sha256 == sequence_hash([hashlib.sha256(png(1)).hexdigest()])
    assert [s.reason for s in content.skipped] == [
        "an absolute name in an archive",
        "a name in an archive that leads out of it",
        "a symbolic link in an archive",
        "a hard link in an archive",
        "a named pipe in an archive",
        "a character device in an archive",
        "a second member of this name",
    ]
    assert not Path("/tmp/ffpipe-absolute.png").exists()
    assert not (tmp_path / "up.png").exists()
    assert [path.name for path in folder.iterdir()] == ["x.tar.gz"]


def test_a_fault_is_told_by_the_archive_and_by_the_sequence_that_it_broke_off_in(tmp_path):
    files = {f"{s}/{n}.png": os.urandom(5000) for s in "abc" for n in range(4)}
    path = write_tar(tmp_path / "x.tar.gz", files)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    content = list_tar(str(path))
    assert content.fault == "the archive is cut short"
    assert [name for name, pictures in content.sequences.items() if pictures.fault] == ["b"]
    assert content.sequences["a"].fault is None
    assert "c" not in content.sequences


def test_an_archive_that_cannot_be_read_at_all(tmp_path):
    (tmp_path / "x.tar.gz").write_bytes(b"no archive" * 100)
    assert list_tar(str(tmp_path / "x.tar.gz")).fault == "not a tar archive"
    assert "cannot be read" in str(list_tar(str(tmp_path / "gone.tar")).fault)


def test_pictures_that_left_the_archive_are_missed(tmp_path):
    path = write_tar(tmp_path / "x.tar", pngs("s", [0, 1]))
    pictures = list_tar(str(path)).sequences["s"]
    write_tar(path, pngs("s", [0]))
    with pytest.raises(TarFault, match="not in the archive any more"):
        hash_of(pictures)


def test_a_folder_s_own_pictures(tmp_path):
    write_files(
        tmp_path, {"10.png": b"1", "9.jpg": b"2", ".hidden.png": b"3", "t.txt": b"", "in/1.png": b"4"}
    )
    assert pictures_in(tmp_path).names == ("9.jpg", "10.png")
    assert pictures_in(tmp_path / "gone").fault == "the folder cannot be read: No such file or directory"
    (tmp_path / "bare").mkdir()
    assert pictures_in(tmp_path / "bare").fault == "no picture in this folder"


def test_missing_files_are_named():
    assert missing_text([f"/x/{n}.png" for n in range(7)], 32) == (
        "7 of 32 listed pictures are missing: 0.png, 1.png, 2.png, 3.png, 4.png and 2 more"
    )
