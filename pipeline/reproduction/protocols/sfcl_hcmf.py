"""The SFCL-HCMF paper's protocol: FaceForensics++ at two qualities, two other datasets, and its ablations.

Own rows alone are carried over: the papers' other rows are quoted from elsewhere and say nothing of this code.
"""

from __future__ import annotations

from ffpipe.models.detector import OptionValue
from ffpipe.pipeline.reproduction.protocols.protocol import (
    ACC,
    AUC,
    Printed,
    Protocol,
    Training,
    Trial,
    pair,
    percent,
)
from ffpipe.pipeline.reproduction.protocols.sources import CELEB_DF_V2, DFDC, FFPP, FOUR_METHODS, by_key

_METHODS = tuple(FOUR_METHODS.values())
#: Section 4.4: frames a video of FaceForensics++. Section 4.5: frames a video of the other datasets.
_FRAMES, _CROSS_FRAMES = 270, 50
_ROW = "SPCL-HCMF(ours)"

#: Table 3: (SCBM, HCMF, SIDA) -> options and AUC of FF++ c23. The last row is the full model of table 1.
_TABLE_3: tuple[tuple[str, str, dict[str, OptionValue], float], ...] = (
    ("- - -", "c23-none", {"sbcm": "off", "hcmf": "off", "sida": "off"}, 97.70),
    ("- HCMF SIDA", "c23-no-sbcm", {"sbcm": "off"}, 99.03),
    ("SCBM - SIDA", "c23-no-hcmf", {"hcmf": "off"}, 98.95),
    ("SCBM HCMF -", "c23-no-sida", {"sida": "off"}, 97.99),
    ("SCBM HCMF SIDA", "c23", {}, 99.58),
)
#: Table 4: (FAAE, HCMA) -> options and AUC of FF++ c23. Without both it is table 3's row without HCMF.
_TABLE_4: tuple[tuple[str, str, dict[str, OptionValue], float], ...] = (
    ("- -", "c23-no-hcmf", {"hcmf": "off"}, 97.70),
    ("FAAE -", "c23-no-hcma", {"hcma": "off"}, 98.30),
    ("- HCMA", "c23-no-faae", {"faae": "off"}, 99.27),
    ("FAAE HCMA", "c23", {}, 99.58),
)
_TABLE_4_FIRST = "table 3 prints 98.95 of this model; 97.70 is its row without SCBM and SIDA as well"


def _test(quality: str) -> Trial:
    return Trial(FFPP.key, quality, _METHODS, _FRAMES)


def _training(name: str, quality: str, options: dict[str, OptionValue]) -> Training:
    return Training(name, "sfcl-hcmf", FFPP.key, _FRAMES, quality, _METHODS, options)


def _trainings() -> tuple[Training, ...]:
    ablations = {name: options for _, name, options, _ in (*_TABLE_3, *_TABLE_4) if name != "c23"}
    return (
        _training("c23", "c23", {}),
        _training("c40", "c40", {}),
        *(_training(name, "c23", options) for name, options in ablations.items()),
    )


def _in_dataset(column: str, quality: str, accuracy: float, auc: float) -> tuple[Printed, Printed]:
    at = Printed(1, _ROW, column, ACC, 0.0, quality, _test(quality))
    return pair(at, (ACC, AUC), (percent(accuracy), percent(auc)))


def _cross(column: str, test: Trial, value: float, note: str = "") -> Printed:
    return Printed(2, _ROW, column, AUC, percent(value), "c23", test, note=note)


_DFDC_PART = "the part of DFDC is not printed: the dataset's test split is taken"
_PRINTED = (
    *_in_dataset("FF++(HQ)", "c23", 97.43, 99.58),
    *_in_dataset("FF++(LQ)", "c40", 91.77, 94.21),
    _cross("FF++(c23)", _test("c23"), 99.58),
    _cross("Celeb-DF(v2)", Trial(CELEB_DF_V2.key, frames=_CROSS_FRAMES), 74.68),
    _cross("DFDC", Trial(DFDC.key, frames=_CROSS_FRAMES), 73.71, _DFDC_PART),
    *(
        Printed(3, row, "AUC", AUC, percent(value), name, _test("c23"))
        for row, name, _, value in _TABLE_3
    ),
    *(
        Printed(
            4, row, "AUC", AUC, percent(value), name, _test("c23"), note=_TABLE_4_FIRST if row == "- -" else ""
        )
        for row, name, _, value in _TABLE_4
    ),
)  # fmt: skip

SFCL_HCMF = Protocol(
    name="sfcl-hcmf",
    paper="Qiao, Tian, Wang: Towards Generalizable Deepfake Detection with Spatial-Frequency Collaborative Learning "
    "and Hierarchical Cross-Modal Fusion",
    sources=by_key(FFPP, CELEB_DF_V2, DFDC),
    trainings=_trainings(),
    printed=_PRINTED,
    face_detector="dlib",
    notes=(
        "the tables call the method SPCL-HCMF, the text SFCL-HCMF; the module is SBCM and SCBM",
        "section 4.6 says that AUC falls by 1.4% without SIDA; table 3 prints 99.58 and 97.99, which is 1.59",
        "which 720, 140 and 140 videos is not printed: the split of FaceForensics++'s owners is taken",
        "which videos of Celeb-DF v2 are tested is not printed: the owners' test list is taken",
    ),
)
