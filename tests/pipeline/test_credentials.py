"""Content credentials in a scoring: beside the verdict and never in it, of the content that was hashed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from signed_media import make_signer, sign, tampered
from small_weights import make_tiny_weights
from tiny_scoring import picture, run

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import Entry, Pictures, Status
from ffpipe.pipeline import credentials, table_reading, tables
from ffpipe.pipeline.config import ScoreConfig, VerifyConfig
from ffpipe.pipeline.credentials import CredentialsReader, reader_for
from ffpipe.pipeline.hashing import Hashed
from ffpipe.pipeline.plan import items_from
from ffpipe.pipeline.score import ScoreResult
from ffpipe.pipeline.verification.job import Verification, verify
from ffpipe.pipeline.workspace import Workspace

HOSTILE = "<script>alert(1)</script>\x1b[31m=cmd()\u202e"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with weights; media without credentials, with whole ones under two names, and with broken ones."""
    home = tmp_path_factory.mktemp("credentials")
    make_tiny_weights(home / "ws" / "models" / "meso4" / "a")
    media, signer = home / "media", make_signer()
    media.mkdir()
    (home / "trust.pem").write_bytes(signer.authority)
    picture(media / "plain.jpg")
    signed = sign(media / "plain.jpg", media / "signed.jpg", signer, title=HOSTILE)
    shutil.copy(signed, media / "signed copy.jpg")
    at = signed.read_bytes().index(b"Test Camera")
    tampered(signed, media / "tampered.jpg", at)
    return home


def scored(place: Path, out: str, **settings: Any) -> ScoreResult:
    weights = place / "ws" / "models" / "meso4" / "a"
    # Taken as crops, since looking for faces costs more than all the rest.
    quick = {"cropped": True, "accept_crops": True}
    return run(place / "media", place / "ws", weights, place / out, **quick, **settings)


@pytest.fixture(scope="module")
def report(place: Path) -> ScoreResult:
    return scored(place, "report.parquet")


def told(result: ScoreResult) -> dict[str, Any]:
    rows = result.report.to_pylist()
    return {Path(row["path"]).name: json.loads(row["content_credentials"]) for row in rows}


def test_every_row_says_what_its_credentials_are(report: ScoreResult) -> None:
    found = told(report)
    states = {name: each["state"] for name, each in found.items()}
    assert states == {
        "plain.jpg": "absent", "signed copy.jpg": "untrusted", "signed.jpg": "untrusted", "tampered.jpg": "invalid",
    }  # fmt: skip
    assert found["signed.jpg"] == found["signed copy.jpg"]
    assert found["signed.jpg"]["library"] == credentials.library()


def test_they_change_neither_verdict_nor_score_nor_reason_nor_the_run_s_settings(
    place: Path, report: ScoreResult
) -> None:
    without = scored(place, "without.parquet", c2pa=False)
    assert without.report.column("content_credentials").null_count == 4
    apart = ["content_credentials", "provenance_id"]
    assert without.report.drop_columns(apart).to_pylist() == report.report.drop_columns(apart).to_pylist()
    assert report.report.column("score").null_count == 0
    digests = [ScoreConfig(), ScoreConfig(c2pa=True, c2pa_trust=None)]
    assert len({config.digest() for config in digests}) == 1
    assert "c2pa" not in digests[0].bound()


@pytest.mark.slow
def test_a_trust_list_is_named_by_its_hash(place: Path) -> None:
    found = told(scored(place, "trusting.parquet", c2pa_trust=place / "trust.pem"))
    assert found["signed.jpg"]["state"] == "valid"
    assert found["tampered.jpg"]["state"] == "invalid"
    assert len({each["trust_list"] for each in found.values()}) == 1
    checked = verified(place, "trusting.parquet")
    assert (checked.exit_code, checked.notes) == (0, [])
    (place / "trust.pem").rename(place / "elsewhere.pem")
    try:
        checked = verified(place, "trusting.parquet")
    finally:
        (place / "elsewhere.pem").rename(place / "trust.pem")
    assert checked.exit_code == 0
    assert "content credentials were not compared" in checked.notes[0]


def test_a_claim_is_inert_in_every_output(place: Path, report: ScoreResult) -> None:
    column = report.report.column("content_credentials").to_pylist()
    for suffix in (".csv", ".json", ".jsonl", ".html"):
        out = place / f"report{suffix}"
        tables.write_table(out, report.report)
        text = out.read_text()
        assert HOSTILE not in text and "\x1b" not in text and "\u202e" not in text
        if suffix == ".html":
            assert "<script>alert" not in text
            continue
        assert "<script" not in text or suffix == ".csv"
        assert table_reading.read_table(out, "report").column("content_credentials").to_pylist() == column
    assert "<script" in "".join(column) and "\\\\x1b" in "".join(column)


def verified(place: Path, report: str) -> Verification:
    config = VerifyConfig(engine="local", workers=0)
    return verify(place / report, config, Workspace(place / "ws"), lambda line: None)


def test_verify_reads_them_again(place: Path, report: ScoreResult, monkeypatch: pytest.MonkeyPatch) -> None:
    assert verified(place, "report.parquet").exit_code == 0
    read = credentials.read_credentials

    def other(path: str, trust: Any) -> Any:
        found = read(path, trust)
        return credentials.Credentials("valid") if "signed" in path else found

    monkeypatch.setattr(credentials, "read_credentials", other)
    result = verified(place, "report.parquet")
    names = {Path(each.path).name: [d.name for d in each.differences] for each in result.inputs}
    assert result.exit_code == 3
    assert names == {
        "plain.jpg": [], "signed copy.jpg": ["content_credentials"], "signed.jpg": ["content_credentials"],
        "tampered.jpg": [],
    }  # fmt: skip


def item(path: Path | Pictures, **facts: Any) -> Any:
    (made,) = items_from([Entry(str(path))], [Hashed(str(path), "0" * 64, 9, **facts)])
    return made


def test_what_is_no_file_or_may_be_another_is_not_looked_at(place: Path) -> None:
    reader = CredentialsReader()
    signed = place / "media" / "signed.jpg"
    for status in (Status.MISSING, Status.CHANGED, Status.SKIPPED):
        assert reader.of(item(signed), status) is None
    assert reader.of(item(signed, status=Status.UNREADABLE, reason="no"), Status.UNREADABLE) is None
    pictures = Entry("x", pictures=Pictures("x", ("1.png",)))
    (frames,) = items_from([pictures], [Hashed("x", "0" * 64, 9)])
    assert reader.of(frames, Status.OK) is None


def test_credentials_of_another_content_than_the_one_that_was_hashed_are_not_told(place: Path) -> None:
    found = json.loads(CredentialsReader().of(item(place / "media" / "signed.jpg"), Status.OK) or "")
    assert found["state"] == "unreadable"
    assert "its content is not the one that was hashed" in found["problem"]
    gone = json.loads(CredentialsReader().of(item(place / "media" / "gone.jpg"), Status.OK) or "")
    assert (gone["state"], gone["problem"]) == ("unreadable", "No such file or directory")


def test_without_the_extra_nothing_is_said_and_a_trust_list_is_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "library", lambda: None)
    assert reader_for(ScoreConfig()) is None
    with pytest.raises(UsageError, match=r"needs the extra c2pa"):
        reader_for(ScoreConfig(c2pa_trust=place / "trust.pem"))
    monkeypatch.undo()
    assert reader_for(ScoreConfig(c2pa=False)) is None
    assert reader_for(ScoreConfig()) == CredentialsReader()
    with pytest.raises(UsageError, match="cannot be read"):
        scored(place, "refused.parquet", c2pa_trust=place / "no.pem")
