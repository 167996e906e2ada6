"""The FAClue paper's protocol: two datasets trained on apart, FaceForensics++ to two others, and its ablations.

Own rows alone are carried over: the papers' other rows are quoted from elsewhere and say nothing of this code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ffpipe.models.detector import OptionValue
from ffpipe.pipeline.reproduction.protocols.protocol import ACC, AUC, Printed, Protocol, Training, Trial, pair
from ffpipe.pipeline.reproduction.protocols.sources import (
    CELEB_DF_V2,
    FFPP,
    FOUR_METHODS,
    WILD_DEEPFAKE,
    by_key,
)

#: Section 4.2: frames a video.
_FRAMES = 20
_ROW = "FAClue (Ours)"
#: What is trained and tested within: column of tables 1, 3 and 4 -> source, and the first word of the training.
_WITHIN = {"Celeb-DF": (CELEB_DF_V2.key, "celeb-df"), "WildDeepfake": (WILD_DEEPFAKE.key, "wild")}

_FULL: tuple[float, ...] = (0.9995, 0.9883, 0.8991, 0.8298)
#: Table 3: row -> training's last word, options; AUC and accuracy on Celeb-DF, then on WildDeepfake.
_TABLE_3: dict[str, tuple[str, Mapping[str, OptionValue], tuple[float, ...]]] = {
    "w/o FAE": ("no-fae", {"fae": "none"}, (0.9983, 0.9867, 0.8838, 0.7895)),
    "w/o FAE-G": ("no-fae-g", {"fae": "local"}, (0.9991, 0.9866, 0.8791, 0.7968)),
    "w/o FAE-L": ("no-fae-l", {"fae": "global"}, (0.9985, 0.9830, 0.8839, 0.8011)),
    "FAE -> FB": ("filter-bank", {"fae": "filter-bank"}, (0.9990, 0.9866, 0.8735, 0.7878)),
    "FAE -> BG": ("band-gather", {"fae": "band-gather"}, (0.9987, 0.9877, 0.8822, 0.8027)),
    "w/o RFCE": ("no-rfce", {"rfce": "none"}, (0.9993, 0.9881, 0.8939, 0.8033)),
    "RFCE -> RFAM": ("rfam", {"rfce": "rfam"}, (0.9984, 0.9879, 0.8861, 0.7981)),
    "RFCE -> MEM": ("mem", {"rfce": "mem"}, (0.9985, 0.9874, 0.8975, 0.8092)),
    "w/o FGA": ("no-fga", {"fga": "none"}, (0.9990, 0.9871, 0.8792, 0.8000)),
    "FGA -> RGA": ("rga", {"fga": "rga"}, (0.9972, 0.9830, 0.8535, 0.7762)),
    _ROW: ("", {}, _FULL),
}
#: Table 4, alike: the convolutions of the FA module.
_TABLE_4: dict[str, tuple[str, Mapping[str, OptionValue], tuple[float, ...]]] = {
    "f1x1": ("fa-1", {"fa_kernel": "1"}, (0.9993, 0.9882, 0.8718, 0.7949)),
    "f3x3": ("fa-3", {"fa_kernel": "3"}, (0.9978, 0.9870, 0.8832, 0.7990)),
    "f5x5": ("fa-5", {"fa_kernel": "5"}, (0.9993, 0.9884, 0.8723, 0.7873)),
    "f7x7 (Ours)": ("", {}, _FULL),
    "f9x9": ("fa-9", {"fa_kernel": "9"}, (0.9989, 0.9874, 0.8623, 0.7752)),
    "f1x1 + f1x1": ("fa-1-1", {"fa_kernel": "1+1"}, (0.9994, 0.9880, 0.8774, 0.7913)),
    "f3x3 + f3x3": ("fa-3-3", {"fa_kernel": "3+3"}, (0.9979, 0.9858, 0.8933, 0.8080)),
    "f3x3 + f3x3 + f3x3": ("fa-3-3-3", {"fa_kernel": "3+3+3"}, (0.9994, 0.9876, 0.8825, 0.7990)),
}
_CROSS = "ffpp-c23"


def _name(within: str, ablation: str) -> str:
    return f"{within}-{ablation}" if ablation else within


def _trainings() -> Iterator[Training]:
    variants = {ablation: options for ablation, options, _ in (*_TABLE_3.values(), *_TABLE_4.values())}
    ordered = {"": variants[""], **variants}
    yield Training(_CROSS, "faclue", FFPP.key, _FRAMES, "c23", tuple(FOUR_METHODS.values()))
    for source, within in _WITHIN.values():
        for ablation, options in ordered.items():
            yield Training(_name(within, ablation), "faclue", source, _FRAMES, options=options)


def _within(table: int, row: str, ablation: str, values: tuple[float, ...]) -> Iterator[Printed]:
    for (column, (source, within)), auc, accuracy in zip(
        _WITHIN.items(), values[::2], values[1::2], strict=True
    ):
        test = Trial(source, frames=_FRAMES)
        at = Printed(table, row, column, AUC, 0.0, _name(within, ablation), test)
        yield from pair(at, (AUC, ACC), (auc, accuracy))


def _printed() -> Iterator[Printed]:
    yield from _within(1, _ROW, "", _FULL)
    ffpp = Trial(FFPP.key, "c23", (FOUR_METHODS["DF"],), _FRAMES)
    yield Printed(2, _ROW, "FF++ (DF)", AUC, 0.9994, _CROSS, ffpp)
    yield Printed(2, _ROW, "Celeb-DF", AUC, 0.7146, _CROSS, Trial(CELEB_DF_V2.key, frames=_FRAMES))
    yield Printed(2, _ROW, "WildDeepfake", AUC, 0.7132, _CROSS, Trial(WILD_DEEPFAKE.key, frames=_FRAMES))
    for table, rows in ((3, _TABLE_3), (4, _TABLE_4)):
        for row, (ablation, _, values) in rows.items():
            yield from _within(table, row, ablation, values)


FACLUE = Protocol(
    name="faclue",
    paper="Liang, Wu, Wu, Xu: FAClue: Exploring Frequency Clues by Adaptive Frequency-Attention for Deepfake Detection",
    sources=by_key(FFPP, CELEB_DF_V2, WILD_DEEPFAKE),
    trainings=tuple(_trainings()),
    printed=tuple(_printed()),
    face_detector="dlib",
    notes=(
        "the version of Celeb-DF is not printed: v2 is assumed",
        "the split of FaceForensics++ is not printed: that of its owners is taken",
        "Celeb-DF and WildDeepfake have no validation part, and the paper names none: whole groups of the training "
        "part are held out",
        "table 4 prints a higher accuracy of f5x5 on Celeb-DF (0.9884) than of the paper's own choice (0.9883)",
    ),
)
