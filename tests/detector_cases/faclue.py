"""FAClue at its paper's size, worked out by hand."""

from __future__ import annotations

from detector_cases.case import Case

CASES = {
    "faclue": Case(
        # At 64 the last maps have 4 positions, too few for BatchNorm to learn their variance from 8 faces.
        small={"input_size": 96},
        # By hand:
        #   EfficientNet-B0 5,288,548 without classifier (1000 x 1281), last convolution (320 x 1280) and its
        #     BatchNorm (2 x 1280) = 3,595,388 a stream; three more channels into the frequency stem: 3 x 32 x 9 = 864
        #   FA, twice: 2 x 49 + BatchNorm 2 = 100
        #   RFCE after stages of 24, 80 and 320 channels: both domains C x 1 + BatchNorm 2
        #     2 x (26 + 82 + 322) = 860
        #   FGA: gate 320 + BatchNorm 2; 320 x 320 + BatchNorm 640: 103,362
        #   classifier 320 x 2 + 2 = 642
        parameters=2 * 3_595_388 + 864 + 2 * 100 + 860 + 103_362 + 642,
        maps={
            "fae": (6, 224, 224),
            "rgb.net.blocks.1": (24, 56, 56),
            "freq.net.blocks.3": (80, 14, 14),
            "map_rgb": (320, 7, 7),
            "map_freq": (320, 7, 7),
            "fga": (320, 7, 7),
            "classifier": (2,),
        },
        ablations=(
            *({"fae": fae} for fae in ("global", "local", "none", "filter-bank", "band-gather")),
            *({"rfce": rfce} for rfce in ("none", "rfam", "mem")),
            *({"fga": fga} for fga in ("none", "rga")),
            *({"fa_kernel": kernel} for kernel in ("1", "3", "5", "9", "1+1", "3+3", "3+3+3")),
        ),
        frozen={"fa_kernel=1+1": ("fae.halves.*.fa.layers.1.bias",)},
        sizes=(64, 128),
        rate=3e-3,
    ),
}
