"""SFFB and its student at their paper's size, worked out by hand."""

from __future__ import annotations

from detector_cases.case import Case

SMALL = {"input_size": 64, "backbone": "xception-small"}
# By hand, from Xception's 22,855,952 without its classifier (1000 x 2049), 20,806,952:
#   exit flow, which exists once
#     block 12: skip 728x1024 + BatchNorm 2048; separables 728x9 + 728x728 + 1456 and 728x9 + 728x1024 + 2048
#               = 747,520 + 537,992 + 754,072 = 2,039,584
#     two last: 1024x9 + 1024x1536 + 3072 and 1536x9 + 1536x2048 + 4096 = 1,585,152 + 3,163,648
#     together 6,788,384, which leaves 14,018,568 for entry and middle flow
#   frequency stream: the same with six more channels into 32 filters of 3x3: + 1728
#   fusion: fc 728x45 + 45; fc1 and fc2 45x728 + 728 each; convolution 1456x728
#   classifier 2048x2 + 2
PARAMETERS = 20_806_952 + 14_018_568 + 1_728 + 32_805 + 2 * 33_488 + 1_059_968 + 4_098
MAPS = {
    "spatial.0": (64, 125, 125),
    "spatial": (728, 16, 16),
    "frequency": (728, 16, 16),
    "fusion.fc": (45,),
    "fusion": (728, 16, 16),
    "exit.0": (1024, 8, 8),
    "exit": (2048, 8, 8),
}

CASES = {
    "sffb": Case(
        small=SMALL,
        parameters=PARAMETERS,
        maps=MAPS,
        ablations=(
            {"fusion": "summation"},
            {"fusion": "concatenation"},
            {"fusion": "chunked"},
            {"backbone": "xception"},
            {"backbone": "resnet18"},
            {"backbone": "resnet34"},
            {"backbone": "resnet50"},
        ),
    ),
    "sffb-kd": Case(
        small=SMALL,
        parameters=PARAMETERS,
        maps=MAPS,
        ablations=(
            {"fusion": "summation"},
            {"fusion": "concatenation"},
            {"fusion": "chunked"},
            {"backbone": "resnet18"},
            {"backbone": "resnet34"},
            {"backbone": "resnet50"},
        ),
    ),
}
