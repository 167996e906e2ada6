"""What a user sees of the isolation of hostile media, on machines that allow all of it, some of it, and none of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import denial
import pytest
from media import make_clip

_PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
from denial import deny
from ffpipe.pipeline import doctor
from ffpipe.stages.decode.sandbox import DecodeSandbox
from ffpipe.stages.sampling import Sampling
denied = sys.argv[3].split(",") if sys.argv[3] else []
deny(denied)
with DecodeSandbox() as sandbox:
    frames = len(list(sandbox.open(sys.argv[2], Sampling.of_count(3))))
    cut = sandbox.protection.network_cut
found = [[one.text, one.fix] for one in doctor._isolation(None)]
print(json.dumps([frames, cut, found]))
"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=6).path


@pytest.mark.parametrize("denied", ["", "namespace,landlock", "namespace,landlock,calls"])
def test_media_are_decoded_and_the_check_up_says_behind_what(clip: Path, denied: str) -> None:
    """Without any means decoding still works, and the check-up names each hole with its fix."""
    place = str(Path(denial.__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, place, str(clip), denied],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    frames, cut, (line, *problems) = json.loads(done.stdout)
    assert frames == 3
    assert line[0].startswith("decoding child: killed with its parent; ")
    assert line[1] is None
    if denied.endswith("calls"):
        assert not cut
        assert "network NOT cut off; files NOT guarded; system calls NOT filtered" in line[0]
        (network, how), (files, how_files) = problems
        assert "could reach the network" in network
        assert "docker run --network none" in how
        assert "could change your files" in files
        assert "Landlock" in how_files
    elif cut:
        assert problems == []
    else:
        pytest.skip("neither namespaces nor system-call filters are available here")
