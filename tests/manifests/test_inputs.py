"""Files, folders and globs become inputs; whatever is left out is counted or has a reason."""

import os
import socket
from pathlib import Path

import pytest

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.filekinds import COMPANION_SUFFIXES, IMAGE_SUFFIXES, VIDEO_SUFFIXES, looks_like_media
from ffpipe.manifests.inputs import collect, display_path, path_bytes

MP4_HEAD = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00"


def touch(root: Path, *names: str, content: bytes = b"x") -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def relative(paths, root: Path) -> list[str]:
    return [str(Path(path).relative_to(root)) for path in paths]


def reasons(inputs, root: Path) -> dict[str, str]:
    return {str(Path(s.path).relative_to(root)): s.reason for s in inputs.skipped}


def test_a_folder_is_walked_in_byte_order_with_companions_and_hidden_names_counted(tmp_path):
    touch(
        tmp_path,
        "b.mp4",
        "a/z.MKV",
        "B.mov",
        "a/list.m3u8",
        "a/notes.txt",
        "x.JSON",
        "README",
        "part.bin",
        "noext",
    )
    touch(tmp_path, ".hidden.mp4", ".cache/x.mp4")
    found = collect([tmp_path])
    assert relative(found.entries, tmp_path) == [
        "B.mov",
        "a/list.m3u8",
        "a/z.MKV",
        "b.mp4",
        "noext",
        "part.bin",
    ]
    assert found.companions == {".txt": 1, ".json": 1, "readme": 1}
    assert found.hidden == 2
    assert found.skipped == []
    assert found.companions_line() == "3 companion files not scored (.json 1, .txt 1, readme 1)"


def test_a_companion_that_begins_like_media_is_an_input(tmp_path):
    touch(tmp_path, "video.txt", content=MP4_HEAD)
    assert relative(collect([tmp_path]).entries, tmp_path) == ["video.txt"]


def test_a_companion_named_explicitly_is_an_input(tmp_path):
    touch(tmp_path, "notes.txt")
    assert collect([tmp_path / "notes.txt"]).entries == [str(tmp_path / "notes.txt")]


def test_an_absent_file_is_an_input_and_an_empty_glob_is_refused(tmp_path):
    assert collect([tmp_path / "gone.mp4"]).entries == [str(tmp_path / "gone.mp4")]
    with pytest.raises(UsageError, match=r"no file matches .*\*\.mp4"):
        collect([tmp_path / "*.mp4"])


@pytest.mark.parametrize("bad", ["", "a\0b", "\ud800.mp4"])
def test_impossible_names_are_refused(bad):
    with pytest.raises(UsageError):
        collect([bad])


@pytest.mark.parametrize(
    "name",
    ["http:", "-x.mp4", "%03d.mp4", "concat:a|b.mp4", "clip[1].mp4", "what?.mp4", "--help", "a\nb.mp4"],
)
def test_names_that_look_like_something_else_are_local_files(tmp_path, monkeypatch, name):
    touch(tmp_path, name)
    monkeypatch.chdir(tmp_path)
    assert collect([name]).entries == [name]
    assert relative(collect([tmp_path]).entries, tmp_path) == [name]


def test_a_url_is_a_path_that_is_absent():
    assert collect(["http://host/x.mp4"]).entries == ["http://host/x.mp4"]


def test_undecodable_names_survive_and_are_shown_as_text(tmp_path):
    raw = os.fsencode(tmp_path) + b"/caf\xe9\x1b[31m\n.mp4"
    Path(os.fsdecode(raw)).write_bytes(b"x")
    for asked in ([tmp_path], [raw]):
        (entry,) = collect(asked).entries
        assert path_bytes(entry) == raw
        assert display_path(entry).endswith(r"/caf\xe9\x1b[31m\n.mp4")
        display_path(entry).encode("utf-8")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain é 人.mp4", "plain é 人.mp4"),
        ("a\r\tb", r"a\r\tb"),
        ("x\u202egpj.mp4", r"x\u202egpj.mp4"),
        ("l\u2028s", r"l\u2028s"),
        ("c\x9bs", r"c\x9bs"),
        ("\ud800", r"\ud800"),
    ],
)
def test_display_path_is_inert(name, shown):
    assert display_path(name) == shown


def test_globs_match_as_a_shell_would(tmp_path, monkeypatch):
    touch(tmp_path, "a/1.mp4", "a/2.avi", "a/.h.mp4", "b/c/3.mp4", "top.mp4", "notes.txt")
    monkeypatch.chdir(tmp_path)
    assert collect(["a/*.mp4"]).entries == ["a/1.mp4"]
    assert collect(["**/*.mp4"]).entries == ["a/1.mp4", "b/c/3.mp4", "top.mp4"]
    assert collect(["*"]).entries == ["a/1.mp4", "a/2.avi", "b/c/3.mp4", "notes.txt", "top.mp4"]
    assert collect(["[ab]"]).entries == ["a/1.mp4", "a/2.avi", "b/c/3.mp4"]
    assert collect(["a/.*.mp4"]).entries == ["a/.h.mp4"]
    assert collect([f"{tmp_path}/?/[12].*"]).entries == [f"{tmp_path}/a/1.mp4", f"{tmp_path}/a/2.avi"]


def test_one_file_reached_twice_is_one_input(tmp_path, monkeypatch):
    touch(tmp_path, "d/a.mp4", "d/s/b.mp4")
    monkeypatch.chdir(tmp_path)
    found = collect(["d/s", "d/a.mp4", "d", "./d/a.mp4", tmp_path / "d"])
    assert found.entries == ["d/s/b.mp4", "d/a.mp4"]
    assert found.skipped == []


def test_copies_and_links_to_files_are_inputs_of_their_own(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "c.mp4").symlink_to("a.mp4")
    assert relative(collect([tmp_path]).entries, tmp_path) == ["a.mp4", "b.mp4", "c.mp4"]


def test_linked_folders_are_followed_once_and_loops_have_a_reason(tmp_path):
    touch(tmp_path, "top/real/a.mp4", "outside/o.mp4")
    (tmp_path / "top/a_link").symlink_to("real")
    (tmp_path / "top/real/loop").symlink_to("..")
    (tmp_path / "top/self").symlink_to("self")
    (tmp_path / "top/other").symlink_to(tmp_path / "outside")
    found = collect([tmp_path / "top"])
    assert relative(found.entries, tmp_path / "top") == ["other/o.mp4", "real/a.mp4"]
    assert set(reasons(found, tmp_path / "top")) == {"a_link", "real/loop", "self"}
    assert "broken symbolic link" in reasons(found, tmp_path / "top")["self"]
    assert "already listed" in reasons(found, tmp_path / "top")["real/loop"]


def test_a_recursive_glob_ends_in_spite_of_a_loop(tmp_path):
    touch(tmp_path, "d/a.mp4")
    (tmp_path / "d/loop").symlink_to("..")
    assert relative(collect([f"{tmp_path}/**/*.mp4"]).entries, tmp_path) == ["d/a.mp4"]


def test_special_files_are_skipped_with_a_reason_and_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    os.mkfifo(tmp_path / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.mp4"))
        found = collect([tmp_path])
        assert reasons(found, tmp_path) == {
            "pipe.mp4": "not a regular file: named pipe",
            "pipe.txt": "not a regular file: named pipe",
            "s.mp4": "not a regular file: socket",
        }
    assert found.entries == []
    named = collect([tmp_path / "pipe.mp4", "/dev/zero"])
    assert named.entries == []
    assert [s.reason for s in named.skipped] == [
        "not a regular file: named pipe",
        "not a regular file: character device",
    ]


def test_a_file_without_read_permission_is_skipped_in_a_folder_and_kept_when_named(tmp_path, monkeypatch):
    touch(tmp_path, "locked.mp4", "open.mp4")
    # The tests may run as root, whom permission bits do not stop.
    monkeypatch.setattr(os, "access", lambda path, mode: "locked" not in os.fsdecode(path))
    found = collect([tmp_path])
    assert relative(found.entries, tmp_path) == ["open.mp4"]
    assert reasons(found, tmp_path) == {"locked.mp4": "no permission to read the file"}
    assert relative(collect([tmp_path / "locked.mp4"]).entries, tmp_path) == ["locked.mp4"]


def test_an_unreadable_folder_is_skipped_with_a_reason(tmp_path, monkeypatch):
    touch(tmp_path, "ok/a.mp4", "locked/b.mp4")
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = collect([tmp_path])
    assert relative(found.entries, tmp_path) == ["ok/a.mp4"]
    assert reasons(found, tmp_path) == {"locked": "the folder cannot be read: Permission denied"}


def test_the_workspace_inside_a_folder_is_left_out_unless_it_is_named(tmp_path):
    touch(tmp_path, "a.mp4", "ws/crop.png")
    (tmp_path / "link").symlink_to("ws")
    assert relative(collect([tmp_path], exclude=[tmp_path / "ws"]).entries, tmp_path) == ["a.mp4"]
    assert relative(collect([tmp_path / "ws"], exclude=[tmp_path / "ws"]).entries, tmp_path) == [
        "ws/crop.png"
    ]
    assert relative(collect([tmp_path], exclude=[tmp_path / "absent"]).entries, tmp_path) == [
        "a.mp4",
        "ws/crop.png",
    ]


def test_a_name_of_255_bytes_survives(tmp_path):
    name = "é" * 125 + "a.mp4"
    assert len(name.encode()) == 255
    touch(tmp_path, name)
    assert relative(collect([tmp_path]).entries, tmp_path) == [name]


def test_kinds_do_not_overlap():
    assert not VIDEO_SUFFIXES & IMAGE_SUFFIXES
    assert not (VIDEO_SUFFIXES | IMAGE_SUFFIXES) & COMPANION_SUFFIXES


@pytest.mark.parametrize(
    "head", [b"", b'{"a": 1}', b"path,label\n", b"# Title\n", b"1\n00:00:01,000", b"BMX rules"]
)
def test_text_does_not_look_like_media(head):
    assert not looks_like_media(head)


@pytest.mark.data
@pytest.mark.skipif("FFPIPE_TEST_DATA" not in os.environ, reason="needs the clips at $FFPIPE_TEST_DATA")
def test_every_real_clip_is_recognised_by_its_first_bytes():
    clips = collect([Path(os.environ["FFPIPE_TEST_DATA"]) / "real"]).entries
    assert clips
    missed = [clip for clip in clips if not looks_like_media(Path(clip).read_bytes()[:16])]
    assert missed == []
