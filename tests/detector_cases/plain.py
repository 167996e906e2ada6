"""The plain baselines at their published sizes, worked out by hand."""

from __future__ import annotations

from detector_cases.case import Case

# The published counts less a classifier of 1000 classes, plus one of 2:
#   Xception         22,855,952 - 1000 x 2049 + 2 x 2049 = 20,811,050
#   EfficientNet-B0   5,288,548 - 1000 x 1281 + 2 x 1281 =  4,010,110
#   EfficientNet-B4  19,341,616 - 1000 x 1793 + 2 x 1793 = 17,552,202
#   ResNet-50        25,557,032 - 1000 x 2049 + 2 x 2049 = 23,512,130
# and maps of ceil(S / 32) positions a side: 256 -> 8, 224 -> 7, 380 -> 12.
#
# Many layers of random weights pass bfloat16's rounding on to each other: hence the wide margins of the two deepest.
_SMALL = {"input_size": 64}

CASES = {
    "xception": Case(
        small=_SMALL,
        parameters=22_855_952 - 998 * 2049,
        maps={"backbone": (2048, 8, 8)},
        ablations=(),
        sizes=(100,),
    ),
    "efficientnet-b0": Case(
        small=_SMALL,
        parameters=5_288_548 - 998 * 1281,
        maps={"backbone": (1280, 7, 7)},
        ablations=(),
        sizes=(100,),
    ),
    "efficientnet-b4": Case(
        small=_SMALL,
        parameters=19_341_616 - 998 * 1793,
        maps={"backbone": (1792, 12, 12)},
        ablations=(),
        sizes=(100,),
        bfloat16=0.15,
    ),
    "resnet50": Case(
        small=_SMALL,
        parameters=25_557_032 - 998 * 2049,
        maps={"backbone": (2048, 7, 7)},
        ablations=(),
        sizes=(100,),
        bfloat16=0.25,
    ),
}
