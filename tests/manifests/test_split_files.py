"""Split files: read from both formats, matched to media by path or content, and every doubt refused by its row."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import Label, Split
from ffpipe.manifests.split_files import Place, is_split_file, read_split_file, relative_to


def written(folder: Path, text: str, name: str = "s.csv") -> Path:
    (folder / name).write_text(text)
    return folder / name


def places(*names: str, root: str = "/data", contents: tuple[str | None, ...] = ()) -> list[Place]:
    known = contents or (None,) * len(names)
    return [Place(f"{root}/{name}", name, content) for name, content in zip(names, known, strict=True)]


def splits(path: Path, known: list[Place]) -> list[Split | None]:
    return [row.split if row else None for row in read_split_file(path).match(known)]


def test_both_formats_say_the_same_and_what_is_not_listed_is_in_no_split(tmp_path):
    text = "path,split,label,group,extra\na.mp4,train,0,g,1\n/data/b.mp4,VAL,fake,,2\nc.mp4,,,,3\n"
    path = written(tmp_path, text)
    pd.read_csv(path).to_parquet(tmp_path / "s.parquet")
    known = places("a.mp4", "b.mp4", "c.mp4", "d.mp4")
    for file in (path, tmp_path / "s.parquet"):
        assert splits(file, known) == [Split.TRAIN, Split.VAL, None, None]
        a, b, _ = read_split_file(file).rows
        assert (a.label, a.group, b.label, b.group) == (Label.REAL, "g", Label.FAKE, None)
    assert read_split_file(path).digest == read_split_file(tmp_path / "s.parquet").digest


def test_the_digest_is_of_what_is_said_and_not_of_how(tmp_path):
    first = read_split_file(written(tmp_path, "path,split,note\na,train,x\nb,test,y\n"))
    same = read_split_file(written(tmp_path, "split,path\ntest,b\ntrain,./a\n", "t.csv"))
    other = read_split_file(written(tmp_path, "path,split\na,train\nb,val\n", "u.csv"))
    assert first.digest == same.digest != other.digest
    assert str(first) == f"given by {tmp_path / 's.csv'} ({first.digest})"


def test_a_content_alone_stands_for_every_path_that_has_it(tmp_path):
    known = places("a", "copy", "b", contents=("m1", "m1", "m2"))
    assert splits(written(tmp_path, "media_id,split\nm1,train\n"), known) == [Split.TRAIN, Split.TRAIN, None]
    moved = written(tmp_path, "path,media_id,split\nelsewhere/b,m2,test\n")
    assert splits(moved, known) == [None, None, Split.TEST]


def test_a_leading_dash_or_equals_sign_survives(tmp_path):
    for name in ("-x.mp4", "=cmd()", "＝x", "'q.mp4"):
        shown = relative_to(f"/data/{name}", "/data")
        assert shown == f"./{name}"
        assert splits(written(tmp_path, f"path,split\n{shown},test\n"), places(name)) == [Split.TEST]
    assert relative_to("/data/_a/b.mp4", "/data/") == "_a/b.mp4"
    assert relative_to("/database/b.mp4", "/data") == "/database/b.mp4"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "path,split\nx.mp4,train\ny.mp4,train\n",
            "line 2: x.mp4 is no medium of these data, and 1 more rows",
        ),
        ("path,split\na.mp4,train\n./a.mp4,test\n", "line 3: a.mp4 is already on line 2"),
        ("path,split\na.mp4,half\n", "line 2: split 'half' is not one of train"),
        ("path,split\n,train\n", "line 2: neither a path nor a media_id"),
        ("path,label\na.mp4,0\n", "has the columns split and path or media_id; here are label, path"),
        ("split\ntrain\n", "has the columns"),
        ("path,split\n", "lists no medium"),
        ("path,media_id,split\na.mp4,m9,train\n", "line 2: a.mp4 holds another content"),
        ("path,split,media_id\na.mp4,train,\n,test,m1\n", "line 3: m1 is test here, train in .*line 2"),
    ],
)
def test_every_doubt_is_refused_by_its_row(tmp_path, text, words):
    with pytest.raises(UsageError, match=words):
        splits(written(tmp_path, text), places("a.mp4", contents=("m1",)))


def test_a_relative_path_of_two_datasets_needs_the_whole_path(tmp_path):
    known = [*places("a.mp4", root="/one"), *places("a.mp4", root="/two")]
    with pytest.raises(UsageError, match=r"a.mp4 could be /one/a.mp4 or /two/a.mp4; give the whole path"):
        splits(written(tmp_path, "path,split\na.mp4,train\n"), known)
    assert splits(written(tmp_path, "path,split\n/two/a.mp4,train\n"), known) == [None, Split.TRAIN]


def test_a_folder_is_no_split_file_and_an_absent_one_is_named(tmp_path):
    (tmp_path / "lists.csv").mkdir()
    assert not is_split_file(tmp_path / "lists.csv")
    assert not is_split_file(tmp_path)
    assert is_split_file(tmp_path / "absent.parquet")
    with pytest.raises(UsageError, match="absent.parquet: no such split file"):
        read_split_file(tmp_path / "absent.parquet")
