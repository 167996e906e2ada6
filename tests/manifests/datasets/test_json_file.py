"""An owner's JSON file: read, or refused in a line."""

import pytest

from ffpipe.manifests.datasets.json_file import read_json
from ffpipe.manifests.errors import UsageError


def test_what_the_file_holds_is_returned(tmp_path):
    (tmp_path / "a.json").write_text('[["071", "054"]]')
    assert read_json(tmp_path / "a.json") == [["071", "054"]]


@pytest.mark.parametrize("content", [b"[1,", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_named(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"a\.json is not JSON"):
        read_json(tmp_path / "a.json")


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"gone\.json cannot be read: No such file"):
        read_json(tmp_path / "gone.json")
