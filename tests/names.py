"""File names that every output must survive and keep inert, and report rows that carry them."""

from ffpipe.manifests.inputs import display_path, path_bytes
from ffpipe.manifests.records import ReportRow, Status, Verdict

#: Names that a report must survive, and that must do nothing where it is read.
NAMES = [
    b"plain.mp4",
    b"line\nbreak.mp4",
    b"return\r.mp4",
    b"colour\x1b[31mred\x1b]0;title\x07.mp4",
    b"<script>alert(1)</script>.mp4",
    b"[/x][bold]loud[/bold].mp4",
    b"=cmd()|'/c calc'!A1.mp4",
    b"+1.mp4",
    b"-x.mp4",
    b"@sum(a1).mp4",
    b"quote\"and'apostrophe,comma;.mp4",
    b"back\\slash\\n.mp4",
    b"latin-\xe9\xff.mp4",
    "schrift-\u202egpj.mp4".encode(),
    "日本語 😀.mp4".encode(),
    "＝wide.mp4".encode(),
    b"x" * 251 + b".mp4",
    b"tab\there.mp4",
    b"back\bspace\x7f.mp4",
    b"control\xc2\x9b31m\xc2\x85.mp4",
    "separators\u2028\u2029.mp4".encode(),
    "zero\u200bwidth\ufeff.mp4".encode(),
    "e\u0301\u0308 \u0301combining.mp4".encode(),
    "family-\U0001f468\u200d\U0001f469\u200d\U0001f467.mp4".encode(),
    b"surrogate-\xed\xa0\x80.mp4",
    b" space before and behind.mp4 ",
    b"dot behind.mp4.",
    b"a..b.mp4",
    b"~root.mp4",
    b"$(touch owned).mp4",
    b"`touch owned`.mp4",
    b"${HOME};|&touch owned.mp4",
    b"%s%n%d.mp4",
    b"{0}{{7*7}}{% raw %}.mp4",
    b"&amp;&lt;b&gt;&#106;.mp4",
    b"javascript:alert(1).mp4",
    b"file:x.mp4",
    b"https:x?a=1#b.mp4",
    b"<img src=x onerror=alert(1)>.mp4",
    b"--><!--]]>.mp4",
    b":smile: [link=x]y[/link].mp4",
    b"'apostrophe.mp4",
]


def report_row(name=b"plain.mp4", **changes):
    facts = dict(
        media_id="0" * 32, path=display_path(name), path_bytes=path_bytes(name), sha256="0" * 64, bytes=9,
        status=Status.OK, verdict=Verdict.INCONCLUSIVE, reason="Track 0 scored 0.500", score=0.5, probability=None,
        log10_likelihood_ratio=None, threshold=None, inconclusive_from=None, duration=1.0, n_frames=3, n_faces=3,
        n_tracks=1, worst_track=0, worst_track_start_seconds=0.0, worst_track_end_seconds=1.0,
        worst_window_start_seconds=0.0, worst_window_end_seconds=1.0, worst_window_score=0.5, crops_accepted=False,
        model_id="m", provenance_id="abc",
    )  # fmt: skip
    return ReportRow(**{**facts, **changes})
