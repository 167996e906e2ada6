"""Pictures of 16000 x 16000 pixels, in a few kilobytes each, are refused from their headers at no cost in memory."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import odd_media as odd
import pytest

from ffpipe.stages.decode import DEFAULT_DECODER, list_decoders

SIDE = 16_000
#: What neither the child nor its parent may reach, in bytes.
PEAK = 1_000_000_000

_PROGRAM = """
import json, sys
from pathlib import Path
from ffpipe.manifests.errors import MediaError
from ffpipe.stages.decode.sandbox import DecodeSandbox

def peak(process):
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))

found = {}
with DecodeSandbox(sys.argv[1]) as sandbox:
    child = sandbox.pid
    for path in sys.argv[2:]:
        try:
            found[Path(path).suffix] = len(list(sandbox.open(path)))
        except MediaError as error:
            found[Path(path).suffix] = str(error)
    print(json.dumps([found, child == sandbox.pid, peak(child), peak("self")]))
"""


@pytest.fixture(scope="module")
def bombs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A file of each kind; all but the PNG, which is whole, claim more than they hold."""
    folder = tmp_path_factory.mktemp("huge")
    made = [
        odd.make_huge_video(folder / "a.mp4", SIDE),
        odd.make_huge_gif(folder / "a.gif", SIDE),
        odd.make_bytes(folder / "a.png", odd.png_of(SIDE, SIDE)),
        *(odd.make_still(folder / f"a.{suffix}") for suffix in ("jpg", "bmp", "tiff")),
    ]
    paths = {clip.path.suffix: clip.path for clip in made}
    small = struct.pack(">HH", 64, 96)
    _replace(paths[".jpg"], small, struct.pack(">HH", SIDE, SIDE))
    _replace(paths[".bmp"], struct.pack("<II", 96, 64), struct.pack("<II", SIDE, SIDE))
    _replace(paths[".tiff"], struct.pack("<HHII", 256, 4, 1, 96), struct.pack("<HHII", 256, 4, 1, SIDE))
    _replace(paths[".tiff"], struct.pack("<HHII", 257, 4, 1, 64), struct.pack("<HHII", 257, 4, 1, SIDE))
    return list(paths.values())


def _replace(path: Path, before: bytes, after: bytes) -> None:
    content = path.read_bytes()
    assert before in content
    path.write_bytes(content.replace(before, after, 1))


@pytest.mark.parametrize(
    "decoder",
    [DEFAULT_DECODER, *(pytest.param(name, marks=pytest.mark.slow) for name in list_decoders()[1:])],
)
def test_huge_pictures_are_refused_from_their_headers(bombs: list[Path], decoder: str) -> None:
    arguments = [decoder, *map(str, bombs)]
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found, same_child, child_peak, parent_peak = json.loads(done.stdout)
    assert {suffix: str(reason).split(";")[0] for suffix, reason in found.items()} == {
        path.suffix: f"too_large: {SIDE}x{SIDE} pixels" for path in bombs
    }
    assert same_child, "refused, not killed"
    assert child_peak < PEAK
    assert parent_peak < PEAK
    assert sum(path.stat().st_size for path in bombs) < 1 << 20
