"""Content credentials read in a confined child: each state, and no more than a state whatever a file does."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from listener import Listener
from media import make_noise_clip
from names import NAMES
from signed_media import Signer, action, make_signer, sign, tampered
from tiny_scoring import picture

from ffpipe.manifests.errors import UsageError
from ffpipe.stages.credentials import confined
from ffpipe.stages.credentials.confined import Credentials, TrustList, read_credentials


@pytest.fixture(scope="module")
def signer() -> Signer:
    return make_signer()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("plain")
    clip = make_noise_clip(folder / "clip.mp4", frames=4, size=(64, 48)).path
    (folder / "clip.mov").write_bytes(clip.read_bytes())
    made = [picture(folder / "picture.png"), picture(folder / "picture.jpg"), clip, folder / "clip.mov"]
    return {path.suffix: path for path in made}


@pytest.fixture(scope="module")
def signed(
    plain: dict[str, Path], signer: Signer, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("signed")
    return {suffix: sign(path, folder / f"signed{suffix}", signer) for suffix, path in plain.items()}


@pytest.mark.parametrize(
    "suffix", [".png", ".mp4", *(pytest.param(s, marks=pytest.mark.slow) for s in (".jpg", ".mov"))]
)
def test_a_whole_manifest_is_untrusted_without_a_list_and_valid_with_its_authority_on_it(
    signed: dict[str, Path], signer: Signer, suffix: str
) -> None:
    found = read_credentials(str(signed[suffix]))
    assert found.state == "untrusted"
    assert found.failures == ("signingCredential.untrusted",)
    assert "claimSignature.validated" in found.passed
    assert (found.generator, found.title) == ("Test Camera 1.0", "A title")
    assert (found.signer, found.issuer) == ("Test Signer", "Test Signer Ltd")
    assert found.actions == ("c2pa.created",)
    assert found.claims_ai
    trust = TrustList(signer.authority)
    listed = read_credentials(str(signed[suffix]), trust)
    assert (listed.state, listed.failures, listed.trust_list) == ("valid", (), trust.sha256)


@pytest.mark.slow
def test_another_authority_vouches_for_nobody_else(signed: dict[str, Path]) -> None:
    trust = TrustList(make_signer("Somebody else").authority)
    assert read_credentials(str(signed[".png"]), trust).state == "untrusted"


@pytest.mark.parametrize(
    ("suffix", "code"), [(".jpg", "assertion.dataHash.mismatch"), (".mp4", "assertion.bmffHash.mismatch")]
)
def test_a_changed_byte_of_the_picture_makes_it_invalid_also_for_a_trusted_signer(
    signed: dict[str, Path], signer: Signer, tmp_path: Path, suffix: str, code: str
) -> None:
    content = signed[suffix].read_bytes()
    at = content.index(b"mdat") + 60 if suffix == ".mp4" else len(content) - 300
    changed = tampered(signed[suffix], tmp_path / f"changed{suffix}", at)
    found = read_credentials(str(changed), TrustList(signer.authority))
    assert (found.state, found.failures) == ("invalid", (code,))


@pytest.mark.slow
def test_a_changed_byte_of_the_manifest_makes_it_invalid_or_unreadable(
    signed: dict[str, Path], tmp_path: Path
) -> None:
    at = signed[".png"].read_bytes().index(b"Test Camera")
    found = read_credentials(str(tampered(signed[".png"], tmp_path / "changed.png", at)))
    assert found.state == "invalid"
    assert found.generator == "Uest Camera 1.0"


@pytest.mark.parametrize("suffix", [".png", ".mp4"])
def test_a_file_cut_short_is_unreadable_with_a_reason(
    signed: dict[str, Path], tmp_path: Path, suffix: str
) -> None:
    content = signed[suffix].read_bytes()
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(content[: content.index(b"c2pa") + 40])
    found = read_credentials(str(cut))
    assert found.state == "unreadable"
    assert "could not be parsed" in (found.problem or "")


def test_without_a_manifest_no_child_is_started(
    plain: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confined, "ConfinedChild", None)
    for path in plain.values():
        found = read_credentials(str(path))
        assert (found.state, found.library) == ("absent", confined.library())
        assert found.to_json() == json.dumps(
            json.loads(found.to_json()), sort_keys=True, separators=(",", ":")
        )


@pytest.mark.parametrize("at", [confined._BLOCK - 2, 3 * confined._BLOCK - 1])
def test_a_mark_is_found_wherever_it_stands(tmp_path: Path, at: int) -> None:
    path = tmp_path / "marked"
    path.write_bytes(bytes(at) + b"jumb" + bytes(10))
    with path.open("rb", buffering=0) as file:
        assert confined._marked(file)


def test_a_manifest_that_lies_elsewhere_is_not_asked_for(
    plain: dict[str, Path], signer: Signer, tmp_path: Path
) -> None:
    with Listener(plain[".mp4"]) as listener:
        away = sign(plain[".jpg"], tmp_path / "away.jpg", signer, remote=listener.url)
        assert listener.url.encode() in away.read_bytes()
        found = read_credentials(str(away))
    assert listener.heard == []
    assert (found.state, found.problem) == (
        "unreadable",
        "its manifest is kept elsewhere, and no address is called",
    )


def test_what_no_library_knows_is_absent(tmp_path: Path) -> None:
    (tmp_path / "clip.mkv").write_bytes(b"\x1aE\xdf\xa3 jumb c2pa")
    found = read_credentials(str(tmp_path / "clip.mkv"))
    assert (found.state, found.problem) == (
        "absent",
        "the library knows no place for credentials in this format",
    )


def test_hostile_texts_come_out_on_one_line_bounded_and_inert(plain: dict[str, Path], tmp_path: Path) -> None:
    hostile = " ".join(name.decode("utf-8", "replace") for name in NAMES)
    signer = make_signer("=cmd()\u202e\x1b[31m<script>")
    made = sign(
        plain[".png"], tmp_path / "hostile.png", signer, title=hostile,
        claim_generator_info=[{"name": "\x1b]0;owned\x07" * 100, "version": "\n\n"}],
        assertions=[action("c2pa.edited\u2028<b>"), {"label": "org.test", "data": {"x": hostile * 50}}],
    )  # fmt: skip
    found = read_credentials(str(made))
    assert found.state in ("untrusted", "invalid")
    assert not found.claims_ai
    texts = [found.title, found.generator, found.signer, *found.actions]
    assert all(text and text.isprintable() and len(text) <= confined._MAX_TEXT * 6 for text in texts)
    assert found.to_json().isascii() and "\n" not in found.to_json()


def test_a_trained_model_in_an_ingredient_is_a_source_too(
    signed: dict[str, Path], signer: Signer, tmp_path: Path
) -> None:
    found = read_credentials(str(sign(signed[".png"], tmp_path / "edited.png", signer, edits=True)))
    assert (found.actions, found.ingredients, found.claims_ai) == (("c2pa.opened",), 1, True)


@pytest.mark.parametrize(
    "message",
    [
        {"kind": "end", "state": "splendid"},
        {"kind": "end", "state": "valid", "library": "mine"},
        {"kind": "end", "state": "valid", "title": 7},
        {"kind": "end", "state": "valid", "actions": [7]},
        {"kind": "end", "state": "valid", "ingredients": True},
        {"kind": "end", "state": ["valid"]},
        {"kind": "end"},
    ],
)
def test_a_child_that_was_taken_over_is_not_believed(message: dict[str, object]) -> None:
    told = confined._checked(dict(message))
    assert told == {"state": "unreadable", "problem": "its reader said nothing sound"}


def test_what_a_child_says_is_cut_and_made_inert() -> None:
    told = confined._checked(
        {"kind": "end", "state": "valid", "title": "\x1b" * 5000, "actions": ["a"] * 5000}
    )
    assert told["title"] == "\\x1b" * confined._MAX_TEXT
    assert len(told["actions"]) == confined._MAX_LISTED


@pytest.mark.parametrize(
    ("seconds", "body", "says"),
    [(0.0, "while True: pass", "CPU seconds"), (60.0, "os._exit(7)", "exit code 7")],
)
def test_a_child_that_hangs_or_dies_costs_a_state(
    signed: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    body: str,
    says: str,
) -> None:
    child = "import os\nfrom ffpipe.stages.decode.protection import bound_cpu\n"
    child += f"def main(arguments):\n    bound_cpu(float(arguments[-1]))\n    {body}\n"
    (tmp_path / "stand_in_reader.py").write_text(child)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr(confined, "_CHILD", "stand_in_reader")
    found = read_credentials(str(signed[".png"]), seconds=seconds)
    assert found.state == "unreadable"
    assert says in (found.problem or "")


@pytest.mark.parametrize(
    "content", [None, b"no certificate", b"-----BEGIN CERTIFICATE-----" + bytes(confined._MAX_TRUST)]
)
def test_a_trust_list_that_is_none_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "trust\n.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"--c2pa-trust .*trust\\n\.pem: (cannot be read|no certificates)"):
        TrustList.load(path)


@pytest.mark.slow
def test_a_trust_list_without_sense_vouches_for_nobody(signed: dict[str, Path]) -> None:
    trust = TrustList(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert read_credentials(str(signed[".png"]), trust).state in ("untrusted", "unreadable")


def test_what_there_is_none_of_is_left_out_of_the_json() -> None:
    assert Credentials("absent").to_json() == '{"state":"absent"}'
    assert Credentials("valid", claims_ai=True, assertions=2).to_json() == (
        '{"assertions":2,"claims_ai":true,"state":"valid"}'
    )
