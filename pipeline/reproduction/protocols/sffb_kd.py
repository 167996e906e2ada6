"""The SFFB paper's protocol: a model for each method and quality, with and without a teacher, and its ablations.

Own rows alone are carried over: the papers' other rows are quoted from elsewhere and say nothing of this code.
"""

from __future__ import annotations

from collections.abc import Mapping

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
from ffpipe.pipeline.reproduction.protocols.sources import CELEB_DF_V1, FFPP, FOUR_METHODS, RAW, by_key

#: Section 4.1: frames a video.
_FRAMES = 50
_CELEB_DF = "celeb-df"
_ALONE, _TAUGHT = "sffb", "sffb-kd"

#: Table 1, accuracy, in the order DF, FS, F2F, NT.
_TABLE_1 = {
    ("Ours-SFFB", _ALONE, "c23"): (97.46, 97.65, 94.33, 95.31),
    ("Ours-SFFB", _ALONE, "c40"): (88.90, 82.73, 83.45, 98.13),
    ("Ours-SFFB&KD", _TAUGHT, "c23"): (98.87, 98.57, 98.58, 96.84),
    ("Ours-SFFB&KD", _TAUGHT, "c40"): (92.00, 89.22, 85.63, 98.36),
}
#: Table 2, accuracy and AUC of SFFB on raw video.
_TABLE_2 = {"DF": (99.13, 99.93), "FS": (99.20, 99.75), "F2F": (99.16, 99.77), "NT": (99.09, 99.93)}
_TABLE_2_CELEB_DF = (99.98, 100.00)
#: Table 3, accuracy of SFFB on F2F c40; the last row is table 1's.
_TABLE_3 = {
    "Summation": ("summation", 83.00),
    "Concatenation": ("concatenation", 81.65),
    "Chunked attention": ("chunked", 71.74),
    "Ours": ("attention", 83.45),
}
#: Table 4, accuracy of the student on F2F c40; the last row is table 1's.
_TABLE_4 = {
    "Summation of M_s and M_f": ("sum", 83.79),
    "Fusion of M_s and M_f": ("fused", 84.14),
    "M_s and M_f": ("maps", 83.38),
    "M_s, M_f and logits": ("maps+logits", 85.63),
}
#: Table 5, accuracy in the order DF, FS, F2F, NT.
_TABLE_5 = {
    ("ResNet50", _ALONE, "resnet50", "c23"): (95.51, 97.48, 97.29, 94.54),
    ("ResNet50", _ALONE, "resnet50", "c40"): (86.01, 79.96, 76.27, 93.30),
    ("Ours-ResNet50", _TAUGHT, "resnet50", "c23"): (96.82, 98.06, 98.34, 95.21),
    ("Ours-ResNet50", _TAUGHT, "resnet50", "c40"): (88.74, 86.28, 83.30, 95.72),
    ("ResNet34", _ALONE, "resnet34", "c23"): (96.04, 97.24, 97.15, 92.68),
    ("ResNet34", _ALONE, "resnet34", "c40"): (86.41, 79.97, 79.70, 95.35),
    ("Ours-ResNet34", _TAUGHT, "resnet34", "c23"): (96.39, 97.56, 97.36, 93.36),
    ("Ours-ResNet34", _TAUGHT, "resnet34", "c40"): (86.43, 84.35, 81.54, 95.17),
}
_DEFAULTS: Mapping[str, OptionValue] = {
    "fusion": "attention",
    "knowledge": "maps+logits",
    "backbone": "xception",
}


class _Models:
    """The trainings that figures ask for, each once, by what sets it apart."""

    def __init__(self) -> None:
        self.made: dict[str, Training] = {}

    def of(self, detector: str, method: str, quality: str, **options: OptionValue) -> str:
        """Name of the training on a method at a quality; made, with its teacher, where it is not there yet."""
        changed = {key: value for key, value in options.items() if value != _DEFAULTS[key]}
        name = "-".join(
            [*(["kd"] if detector == _TAUGHT else []), method.lower(), quality, *map(_word, changed.values())]
        )
        if name not in self.made:
            shared = {key: value for key, value in changed.items() if key == "backbone"}
            teacher = self.of(_ALONE, method, RAW, **shared) if detector == _TAUGHT else None
            self.made[name] = Training(
                name, detector, FFPP.key, _FRAMES, quality, (FOUR_METHODS[method],), changed, teacher
            )
        return name

    def on_celeb_df(self) -> str:
        """Name of the training on Celeb-DF."""
        self.made[_CELEB_DF] = Training(_CELEB_DF, _ALONE, CELEB_DF_V1.key, _FRAMES)
        return _CELEB_DF


def _word(value: OptionValue) -> str:
    return str(value).replace("+", "-")


def _test(method: str, quality: str) -> Trial:
    return Trial(FFPP.key, quality, (FOUR_METHODS[method],), _FRAMES)


def _on(
    table: int, row: str, method: str, quality: str, value: float, training: str, note: str = ""
) -> Printed:
    test = _test(method, quality)
    return Printed(table, row, f"{method} {quality}", ACC, percent(value), training, test, note=note)


def _printed(models: _Models) -> list[Printed]:
    found: list[Printed] = []
    for (row, detector, quality), values in _TABLE_1.items():
        for method, value in zip(FOUR_METHODS, values, strict=True):
            name = models.of(detector, method, quality)
            found.append(_on(1, row, method, quality, value, name))
    for method, (accuracy, auc) in _TABLE_2.items():
        name = models.of(_ALONE, method, RAW)
        at = _on(2, "Ours-SFFB", method, RAW, 0.0, name)
        found += pair(at, (ACC, AUC), (percent(accuracy), percent(auc)))
    celeb = Printed(
        2, "Ours-SFFB", "Celeb-DF", ACC, 0.0, models.on_celeb_df(), Trial(CELEB_DF_V1.key, frames=_FRAMES)
    )
    found += pair(celeb, (ACC, AUC), (percent(_TABLE_2_CELEB_DF[0]), percent(_TABLE_2_CELEB_DF[1])))
    for row, (fusion, value) in _TABLE_3.items():
        found.append(_on(3, row, "F2F", "c40", value, models.of(_ALONE, "F2F", "c40", fusion=fusion)))
    for row, (knowledge, value) in _TABLE_4.items():
        name = models.of(_TAUGHT, "F2F", "c40", knowledge=knowledge)
        found.append(_on(4, row, "F2F", "c40", value, name))
    for (row, detector, backbone, quality), values in _TABLE_5.items():
        for method, value in zip(FOUR_METHODS, values, strict=True):
            name = models.of(detector, method, quality, backbone=backbone)
            found.append(_on(5, row, method, quality, value, name))
    return found


_MODELS = _Models()
_PRINTED = tuple(_printed(_MODELS))

SFFB_KD = Protocol(
    name="sffb-kd",
    paper="Wang, Wu, Wang, Zhang, Wei, Song: Spatial-frequency feature fusion based deepfake detection through "
    "knowledge distillation",
    sources=by_key(FFPP, CELEB_DF_V1),
    trainings=tuple(_MODELS.made.values()),
    printed=_PRINTED,
    notes=(
        "the 720, 140 and 140 videos were drawn at random and are not listed: the split of FaceForensics++'s owners "
        "is taken",
        "the 6:1:1 of Celeb-DF are not listed, nor is its version: 408 real and 795 fake videos are those of v1",
        "table 5's rows without `Ours` are read as SFFB with that backbone and no teacher; table 1 prints other "
        "figures of a plain ResNet50",
        "NeuralTextures is printed to be found more often at c40 than at c23, with and without a teacher (table 1)",
        "table 4 prints less with both maps passed on (83.38) than table 1 with no teacher at all (83.45)",
    ),
)
