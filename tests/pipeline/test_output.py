"""The console: names do nothing, verdicts have words and marks, pipes get plain lines, progress says rate and rest."""

import io
import re

import pytest
from calibrations import made_calibration
from names import NAMES, report_row
from rich.console import Console

from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.records import Status, Verdict, row
from ffpipe.pipeline import output

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def console(terminal, colour=True, width=400):
    stream = io.StringIO()
    system = "standard" if colour else None
    made = Console(file=stream, force_terminal=terminal, color_system=system, width=width, markup=False, emoji=False,
                   highlight=False, soft_wrap=True, legacy_windows=False)  # fmt: skip
    return made, stream


def printed(rows, terminal, **options):
    made, stream = console(terminal)
    output.print_verdicts([row(r) for r in rows], made, **options)
    return stream.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_every_name_is_shown_and_inert(terminal):
    text = printed([report_row(name, reason=None) for name in NAMES], terminal)
    bare = ESCAPES.sub("", text)
    assert "\x1b" not in bare
    assert not [c for c in bare if not c.isprintable() and c != "\n"]
    for name in NAMES:
        assert display_path(name) in bare
    if not terminal:
        assert text == bare
        assert len(text.splitlines()) == len(NAMES) + 2


def test_a_reason_is_inert_too():
    text = printed([report_row(reason="evil\x1b[2J[/bold] :smile:\nline")], terminal=False)
    assert r"evil\x1b[2J[/bold] :smile:\nline" in text


def test_each_verdict_has_a_mark_and_words_of_its_own():
    words = {output.verdict_words(verdict) for verdict in Verdict}
    assert len({word[:2] for word in words}) == len(Verdict)
    assert not any("authentic" in word or "real" in word for word in words)
    text = printed([report_row(verdict=verdict) for verdict in Verdict], terminal=False)
    assert all(word in text for word in words)
    styles = [style for _, _, style in output.VERDICT_WORDS.values()]
    assert not any("green" in style for style in styles)


def test_summary_counts_verdicts_and_failures():
    rows = [
        report_row(verdict=Verdict.LIKELY_MANIPULATED),
        report_row(verdict=Verdict.NOT_ASSESSABLE, status=Status.MISSING, score=None, reason="no such file"),
        report_row(verdict=Verdict.NOT_ASSESSABLE, status=Status.NO_FACE, score=None, reason="no face found"),
    ]
    text = printed(rows, terminal=False)
    assert text.splitlines()[-2:] == [
        "uncalibrated: a score orders videos, and is no probability",
        "3 inputs: 1 likely manipulated, 2 not assessable (1 failed)",
    ]
    assert "[missing]  no such file" in text


def test_of_many_rows_the_gravest_are_printed_and_the_rest_counted():
    rows = [report_row(b"quiet%d.mp4" % k, verdict=Verdict.NO_MANIPULATION_FOUND) for k in range(9)]
    rows.append(report_row(b"loud.mp4", verdict=Verdict.LIKELY_MANIPULATED, score=0.9))
    lines = printed(rows, terminal=False, limit=2).splitlines()
    assert "loud.mp4" in lines[0]
    assert lines[2] == "… and 8 more in the report"
    assert lines[-1].startswith("10 inputs: ")


@pytest.mark.parametrize("terminal", [True, False])
def test_likelihood_ratios_are_shown_with_the_scope_of_their_calibration(terminal):
    rows = [
        report_row(score=0.9, log10_likelihood_ratio=1.204, probability=0.94),
        report_row(score=0.8, log10_likelihood_ratio=-0.5, probability=0.24),
        report_row(score=0.7),
        report_row(score=None, status=Status.NO_FACE, verdict=Verdict.NOT_ASSESSABLE),
    ]
    text = ESCAPES.sub("", printed(rows, terminal, calibration=made_calibration().facts()))
    assert "+1.20" in text and "-0.50" in text and text.count("log10 LR") >= 2
    told = text.splitlines()
    assert (
        told[-3].startswith("calibrated (temperature, ")
        and "30 real and 25 fake videos of 30 groups" in told[-3]
    )
    assert told[-2].startswith("1 of 3 scored inputs has no likelihood ratio")
    assert "log10 LR" not in printed([report_row()], terminal)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_posterior_stands_with_the_prior_that_it_starts_from(terminal):
    rows = [report_row(score=0.9, log10_likelihood_ratio=1.0, probability=0.909, posterior=0.0917)]
    text = ESCAPES.sub("", printed(rows, terminal, calibration=made_calibration().facts(), prior=0.01))
    assert "posterior" in text.splitlines()[0] and "0.092" in text
    assert "posteriors at the prior 0.01" in text


def test_no_color_leaves_no_colour(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    stream = io.StringIO()
    plain = Console(file=stream, force_terminal=True, width=200)
    output.print_verdicts([row(report_row(verdict=Verdict.LIKELY_MANIPULATED))], plain)
    assert "31m" not in stream.getvalue()
    assert "likely manipulated" in stream.getvalue()


def test_what_is_printed_goes_to_stderr_only(capsys):
    output.print_verdicts([row(report_row())])
    output.say("a line")
    with output.Progress("extract") as advance:
        advance(1, 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert "plain.mp4" in err
    assert "extract: 1/2" in err


class Clock:
    """Time that a test sets."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(output.time, "monotonic", lambda: self.now)


def test_progress_lines_come_every_few_seconds_with_rate_and_rest(monkeypatch):
    clock = Clock(monkeypatch)
    made, stream = console(terminal=False)
    with output.Progress("score", "inputs", made) as advance:
        advance(40, 100)
        clock.now += 2
        advance(44, 100, "9 faces")
        clock.now += 4
        advance(52, 100, "20 faces")
        clock.now += 1
        advance(54, 100, "21 faces")
    assert stream.getvalue().splitlines() == [
        "score: 52/100 inputs, 20 faces, 2.0 inputs/s, 24 s left",
        "score: 54/100 inputs, 21 faces, 2.0 inputs/s, 23 s left",
    ]


def test_progress_without_a_start_has_no_rate(monkeypatch):
    Clock(monkeypatch)
    made, stream = console(terminal=False)
    with output.Progress("score", console=made) as advance:
        advance(1, 3)
    assert stream.getvalue() == "score: 1/3\n"


def test_progress_bar_on_a_terminal_shows_the_note_as_it_is(monkeypatch):
    made, stream = console(terminal=True, width=120)
    with output.Progress("score", console=made) as advance:
        advance(1, 3, "[/x] note\x1b[31m")
        made.print("")
    shown = ESCAPES.sub("", stream.getvalue())
    assert r"[/x] note\x1b[31m" in shown


def test_progress_of_a_failed_job_says_no_more(monkeypatch):
    made, stream = console(terminal=False)
    with pytest.raises(ValueError), output.Progress("score", console=made) as advance:
        advance(1, 3)
        raise ValueError
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59.6, "1 min 0 s"), (185, "3 min 5 s"), (7800, "2 h 10 min")]
)
def test_durations_for_people(seconds, text):
    assert output.duration_text(seconds) == text
