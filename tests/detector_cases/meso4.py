"""Meso4 at its paper's size, worked out by hand."""

from __future__ import annotations

from detector_cases.case import Case

CASES = {
    "meso4": Case(
        small={"input_size": 64},
        # By hand, each convolution with bias and each BatchNorm with two values a channel:
        #   3x8x9 + 8 = 224, 8x8x25 + 8 = 1608, 8x16x25 + 16 = 3216, 16x16x25 + 16 = 6416; BatchNorms 2x(8+8+16+16)
        #   256 pixels / (2x2x2x4) = 8 a side: 16 x 8x8 x 16 + 16 = 16,400; 16 x 2 + 2 = 34
        parameters=224 + 1_608 + 3_216 + 6_416 + 96 + 16_400 + 34,
        maps={
            "blocks.0": (8, 128, 128),
            "blocks.1": (8, 64, 64),
            "blocks.2": (16, 32, 32),
            "blocks.3.2": (16, 32, 32),
            "blocks.3": (16, 8, 8),
        },
        ablations=(),
        sizes=(32, 96, 128),
        steps=400,
        rate=1e-2,
    ),
}
