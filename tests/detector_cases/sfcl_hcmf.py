"""SFCL-HCMF at its paper's size, worked out by hand."""

from __future__ import annotations

from detector_cases.case import Case

CASES = {
    "sfcl-hcmf": Case(
        small={"input_size": 96, "backbone": "efficientnet-b0", "cnn_f": "xception-small", "embed_dim": 64},
        # By hand:
        #   EfficientNet-B4 without classifier         17,548,616  (19,341,616 - 1000 x 1793)
        #   Xception 22,855,952 without classifier (1000 x 2049), conv1 (864 + 64), conv2 (18,432 + 128) and
        #     block 1 (skip 8,192 + 256, separables 8,768 + 256 and 17,536 + 256), and with 64 more channels into
        #     block 2 (skip 64x256, depthwise 64x9, pointwise 64x256)
        #     22,855,952 - 2,049,000 - 19,488 - 35,264 + 33,344 = 20,785,544
        #   SBCM 3x16x7 + 16x32x5 + 32x64x3 + BatchNorms 2x(16+32+64)    = 9,264
        #   FAAE 3 x 192x56 + 3 x 56x56 + 3 biases of 56 + BatchNorm 112 + gamma = 41,945
        #   HCMA 1792x1024 + 2048x1024 + 2 biases of 1024 + 4 x 1024^2 + BatchNorm 2048 = 8,130,560
        #   gate 2304x1024 + 1024 + BatchNorm 4608 = 2,364,928; coefficient BatchNorm 384; classifier 2050
        parameters=17_548_616 + 20_785_544 + 9_264 + 41_945 + 8_130_560 + 2_364_928 + 384 + 2_050,
        maps={
            "sbcm.layers": (64, 3, 48, 48),
            "sbcm": (192, 48, 48),
            "faae": (56, 48, 48),
            "cnn_f": (2048, 6, 6),
            "spatial.net.bn2": (1792, 12, 12),
            "fuse": (1024,),
            "gate": (1024,),
        },
        ablations=(
            {"sbcm": "off"},
            {"sida": "off"},
            {"faae": "off"},
            {"hcma": "off"},
            {"hcmf": "off"},
            {"tokens": "pooled"},
            {"sbcm": "off", "sida": "off", "hcmf": "off"},
        ),
        frozen={"tokens=pooled": ("fuse.w_q.weight", "fuse.w_k.weight")},
    ),
}
