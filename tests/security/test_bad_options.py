"""Bad options and bad settings, of every command: exit code 2, one line on stderr, and nothing created or changed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from small_weights import make_tiny_weights

from ffpipe.pipeline import cli

#: What each command needs to get as far as looking at its options.
COMMANDS = {
    "extract": "media",
    "degrade": "media --out copies --crf 23",
    "train": "--model meso4",
    "score": "media --weights model",
    "report": "r.csv",
    "watch": "media --weights model --once",
    "serve": "",
    "explain": "media/clip.mp4 --weights model",
    "preview": "--model meso4 --out p.png",
    "export": "model",
    "evaluate": "model --data d",
    "calibrate": "model",
    "compare": "model model --data d",
    "robustness": "model --data d",
    "reproduce": "sfcl-hcmf",
    "splits make": "media --out o.csv",
    "splits check": "s.csv",
    "splits protocols": "",
    "models": "",
    "datasets": "",
    "doctor": "",
    "demo": "demo-out",
    "purge": "run --yes",
    "verify": "r.csv",
    "log": "",
    "import-weights": "model --model meso4",
}
CONFIGURED = ("extract", "degrade", "train", "score", "watch", "serve", "calibrate", "explain", "preview", "export",
              "evaluate", "compare", "robustness", "reproduce", "splits make", "splits check", "verify")  # fmt: skip

#: Command line, and words of the answer: what was given, and what is allowed.
BAD = [
    # unknown names
    ("frobnicate", "No such command 'frobnicate'"),
    ("splits frobnicate", "No such command 'frobnicate'"),
    ("models nope", "no detector is called 'nope'; known are: "),
    ("extract media --dataset nope", "no dataset layout is called 'nope'; known are auto, "),
    ("extract media --decoder nope", "--decoder 'nope': Input should be 'pyav', 'opencv' or 'decord'"),
    ("extract media --detector nope", "--detector 'nope': Input should be 'mtcnn' or 'dlib'"),
    ("extract media --engine nope", "--engine 'nope': Input should be 'auto', 'local' or 'ray'"),
    ("train --model nope", "--model nope: there are "),
    ("score media --weights nope", "--weights nope: no such folder"),
    ("evaluate nope --data d", "nope"),
    ("compare nope model --data d", "nope"),
    ("export nope", "nope"),
    ("purge nope --yes", "has no scoring run and no dataset called 'nope'"),
    ("reproduce nope", "'nope'; there are sfcl-hcmf, sffb-kd, faclue, fssnet"),
    ("splits check nope", "nope"),
    # out of range and of the wrong type
    ("extract media --frames 0", "--frames '0'"),
    ("extract media --frames many", "--frames 'many': Input should be a valid integer"),
    ("extract media --every 0", "--every '0': Input should be greater than 0"),
    ("extract media --every nan", "--every 'nan': Input should be"),
    ("extract media --timeout -1", "--timeout '-1': Input should be greater than 0"),
    ("extract media --workers -1", "--workers '-1': Input should be greater than or equal to 0"),
    ("extract media --workers x", "--workers 'x': Input should be a valid integer"),
    ("extract media --store-size 65", "--store-size '65': Input should be a multiple of 8"),
    ("score media --weights model --limit 0", "--limit '0': Input should be greater than or equal to 1"),
    ("score media --weights model --batch-size 99999", "--batch-size '99999': Input should be less than"),
    ("extract media --set frames=[]", "--frames []"),
    # missing, superfluous and conflicting
    ("extract", "Missing argument 'SOURCE'"),
    ("score", "Missing argument 'PATH…'"),
    ("train", "--model is required"),
    ("preview --model meso4", "Missing option '--out'"),
    ("extract media more", "unexpected extra argument(s) (more)"),
    ("extract media --frames", "requires an argument"),
    ("extract media --frames 4 --every 2", "give --frames or --every, not both"),
    ("extract media --cropped --whole", "not both"),
    ("compare model --data d", "two"),
    ("score -x.mp4 --weights model", "No such option: -x"),
    # files and folders
    ("extract nowhere", "nowhere: no such file or folder"),
    ("verify nowhere.csv", "nowhere.csv: no such report; give a file that `ffpipe score --out` wrote"),
    ("verify file", "file cannot be verified: "),
    ("report nowhere.csv", "nowhere.csv: no such report; give a file that `ffpipe score --out` wrote"),
    ("report file", "file: is no report that ffpipe wrote: "),
    ("report s.csv", "s.csv: is no report that ffpipe wrote: "),
    ("score media --weights model --report file", "--report file: is no folder"),
    ("score media --weights model --report media", "--report media: holds fake, which is no page of ffpipe's"),
    ("score media --weights model --report nowhere/pages", "/nowhere does not exist"),
    ("watch nowhere --weights model", "nowhere: no such folder; give one to watch"),
    ("watch file --weights model", "file: no such folder; give one to watch"),
    ("explain media --weights model", "media: is a folder; explain takes one video or image"),
    ("explain media/real/a.mp4 --weights model --out file", "--out file: is no folder"),
    ("explain media/real/a.mp4 --seconds 9-3", "END after BEGIN"),
    ("calibrate nope", "nope"),
    ("calibrate model --method nope", "--method 'nope': Input should be "),
    ("score media --weights model --prior 1.5", "--prior '1.5': Input should be less than"),
    ("serve --host 0.0.0.0", "--host '0.0.0.0'"),
    ("serve --port 70000", "--port '70000': Input should be less than or equal to 65535"),
    ("watch media --poll 0", "--poll '0': Input should be greater than 0"),
    ("extract empty", "empty"),
    ("score empty --weights model", "no input found in what was given; give videos, images, folders or globs"),
    ("score nothing*.mp4 --weights model", "no file matches nothing*.mp4, and no file has this name"),
    ("score '' --weights model", "an input path is empty; give a file, a folder or a glob"),
    ("score media", "ffpipe train --model sfcl-hcmf"),
    ("score media --weights file", "file"),
    ("score media --weights model --out r.docx", "'.docx'; allowed: .csv, .html, .json, .jsonl, .parquet"),
    ("score media --weights model --out nowhere/r.csv", "/nowhere does not exist"),
    ("score media --weights model --out folder.csv", "is a folder; give a file name in it"),
    ("score media --weights model --out file/r.csv", "/file does not exist"),
    ("export model --out x.docx", ".onnx"),
    ("splits make media --out o.docx", ".csv"),
    ("splits make media --out nowhere/o.csv", "nowhere"),
    ("preview --model meso4 --out p.docx", ".png"),
    ("extract media --splits nowhere.csv", "nowhere.csv: no such split file"),
    ("extract media --splits file", "file"),
    ("degrade media --crf 23 --out file", "file"),
    ("demo file", "/file: is a file; give a folder"),
    *((f"{name} {needs} --workspace file", "/file: is a file; give a folder") for name, needs in COMMANDS.items()
      if name not in ("models", "datasets", "demo", "splits protocols")),
]  # fmt: skip

#: The same, found only while the job looks at its data or weights: lines on these may come before.
BAD_LATER = [
    ("train --model meso4 --data nope", "no dataset in "),
    ("splits make media --protocol nope --out o.csv", "'nope'"),
    ("extract media --name a/b", "name 'a/b': allowed are up to 100 letters"),
    ("score media --weights empty", "empty"),
    ("score media --weights model --prior 0.01", "--prior 0.01: a posterior needs calibrated weights"),
    ("calibrate model", "give --data DATASET to calibrate on another labelled dataset"),
]

#: Settings that no command takes: option, words.
BAD_SETTINGS = [
    ("--nonsense", "No such option: --nonsense"),
    ("--config absent.toml", "--config absent.toml: cannot be read: "),
    ("--config folder.csv", "--config folder.csv: cannot be read: "),
    ("--config malformed.toml", "--config malformed.toml: not valid TOML: "),
    ("--config bytes.toml", "--config bytes.toml: cannot be read: "),
    ("--config unknown.toml", "unknown setting 'nonsense'; allowed: "),
    ("--config table.toml", "--config table.toml: unknown table 'nonsense'; allowed: "),
    ("--set nonsense=1", "--set 'nonsense=1': unknown key 'nonsense'; allowed: "),
    ("--set nonsense", "--set 'nonsense': expected key=value"),
    ("--set =1", "--set '=1': expected key=value"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with something of each kind to be wrong about."""
    place = tmp_path_factory.mktemp("bad")
    for name in ("empty", "media/real", "media/fake", "folder.csv"):
        (place / name).mkdir(parents=True)
    for name, content in {
        "media/real/a.mp4": b"no medium", "media/fake/b.mp4": b"no medium either", "file": b"x",
        "malformed.toml": b"frames = = 3\n", "unknown.toml": b"nonsense = 3\n", "bytes.toml": b"\xff\xfe",
        "table.toml": b"[nonsense]\n[score]\n[extract]\n", "s.csv": b"path,split\nreal/a.mp4,train\n",
    }.items():  # fmt: skip
        (place / name).write_bytes(content)
    make_tiny_weights(place / "model")
    return place


@pytest.fixture(autouse=True)
def untouched(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test starts in that folder, and leaves it as it was."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("FFPIPE_WORKSPACE", str(place / "ws"))
    before = listing(place)
    yield
    assert listing(place) == before


def listing(place: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in place.rglob("*")}


def assert_refused(line: str, words: str, capsys: pytest.CaptureFixture[str], notes: bool = False) -> None:
    code = cli.run(shlex.split(line))
    said = capsys.readouterr()
    assert code == 2, f"{line}: {said.err}"
    assert said.out == "", line
    *before, last = said.err.splitlines()
    assert last.startswith("ffpipe: error: "), f"{line}: {said.err}"
    assert words in last, f"{line}: {said.err}"
    assert notes or not before, f"{line}: {said.err}"
    assert "Traceback" not in said.err


def test_the_table_knows_every_command() -> None:
    program = typer.main.get_command(cli.common.app)
    below = {f"splits {name}" for name in program.commands["splits"].commands}
    known = (set(program.commands) - {"splits"}) | below
    assert known == set(COMMANDS)


@pytest.mark.parametrize(("line", "words"), BAD)
def test_bad_options_are_one_line(line: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert_refused(line, words, capsys)


@pytest.mark.parametrize(("line", "words"), BAD_LATER)
def test_what_turns_out_wrong_later_is_one_line_behind_the_notes(
    line: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_refused(line, words, capsys, notes=True)


@pytest.mark.parametrize("command", COMMANDS)
def test_bad_settings_of_every_command_are_one_line(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings = BAD_SETTINGS if command in CONFIGURED else BAD_SETTINGS[:1]
    for option, words in settings:
        assert_refused(f"{command} {COMMANDS[command]} {option}", words, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("command", CONFIGURED)
def test_every_number_and_choice_refuses_what_is_none(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    program = typer.main.get_command(cli.common.app)
    for name in command.split():
        program = program.commands[name]
    tried = 0
    for option in program.params:
        flag = max(option.opts, key=len)
        if option.metavar in ("INTEGER", "FLOAT") or "|" in str(option.metavar):
            assert_refused(
                f"{command} {COMMANDS[command]} {flag} x1", f"{flag} 'x1': Input should be ", capsys
            )
        else:
            continue
        tried += 1
    assert tried or command in ("splits check", "export", "compare")


def test_a_traceback_is_shown_when_asked_for_and_only_then(capsys: pytest.CaptureFixture[str]) -> None:
    for line in (
        "extract nowhere --debug",
        "--debug extract media --frames 0",
        "extract media --nonsense --debug",
    ):
        assert cli.run(shlex.split(line)) == 2
        err = capsys.readouterr().err
        assert err.startswith("Traceback (most recent call last)")
        assert err.splitlines()[-1].startswith("ffpipe: error: ")


def test_a_name_that_is_given_is_inert_in_the_complaint(capsys: pytest.CaptureFixture[str]) -> None:
    for line in (["extract", "no\n\x1b[31m[/x]where"], ["score", "x.mp4", "--out", "r\x1b[2J.\ndocx"],
                 ["models", "\x1b]0;title\x07"], ["extract", "media", "--set", "\x1b[2J=\n1"], ["\x1b[2J\n"],
                 ["extract", "media", "--frames", "\x1b[2J"], ["extract", "media", "--\x1b[2J\n"]):  # fmt: skip
        assert cli.run(line) == 2
        err = capsys.readouterr().err
        assert len(err.splitlines()) == 1, err
        assert all(character.isprintable() for character in err.rstrip("\n")), err
