"""F3-Net at its paper's size, worked out by hand."""

from __future__ import annotations

from detector_cases.case import Case

CASES = {
    "f3net": Case(
        small={"input_size": 64, "backbone": "xception-small"},
        # By hand:
        #   Xception without classifier 22,855,952 - 1000 x 2049 = 20,806,952; the first convolution (3x3, 32) has
        #     9 more inputs in FAD's stream (2592) and 3 more in LFS's (864)
        #   filters: FAD 4 x 299 x 299 = 357,604, LFS 6 x 10 x 10 = 600
        #   MixBlock of width C: 6 convolutions of C^2, query biases 2C, BatchNorms 4C, 2 gates
        #     728: 3,184,274; 1024: 6,297,602
        #   classifier 2 x 4096 + 2 = 8194
        parameters=2 * 20_806_952 + 2_592 + 864 + 357_604 + 600 + 3_184_274 + 6_297_602 + 8_194,
        maps={
            "streams.fad.front": (12, 299, 299),
            "streams.lfs.front": (6, 149, 149),
            "streams.fad.trunk.middle_first": (728, 19, 19),
            "streams.lfs.trunk.middle_first": (728, 19, 19),
            "streams.fad.trunk.exit": (1024, 10, 10),
            "streams.lfs.trunk.exit": (1024, 10, 10),
            "streams.fad.trunk.tail": (2048, 10, 10),
            "streams.lfs.trunk.tail": (2048, 10, 10),
        },
        ablations=({"mix": "off"}, {"streams": "fad"}, {"streams": "lfs"}),
        # 100 is even and 71, 72, 73 are those that LFS pads more for.
        sizes=(71, 72, 73, 100),
    ),
}
