"""FSSNet at its paper's size, worked out by hand."""

from __future__ import annotations

from detector_cases.case import Case

_TRUNK = ("cls_token", "pos_embed", "patch_embed.*", "norm.*", "blocks.[01].*")


def frozen(*streams: str) -> tuple[str, ...]:
    """All but the last two of the tiny transformer's four blocks."""
    return tuple(f"streams.{stream}.net.{pattern}" for stream in streams for pattern in _TRUNK)


CASES = {
    "fssnet": Case(
        small={"input_size": 56, "backbone": "vit-tiny"},
        # By hand, a stream:
        #   patch embedding 14x14x3x768 + 768 = 452,352; class token 768; positions (18x18 + 1) x 768 = 249,600
        #   a block: norms 2 x 1536, LayerScales 2 x 768, qkv 768x2304 + 2304, projection 768x768 + 768,
        #     MLP 768x3072 + 3072 and 3072x768 + 768: 7,089,408; twelve of them 85,072,896; final norm 1536
        #   = 85,777,152
        # SBCA, a direction: kernels 9 + 25 + 49 + 81 = 164, times 3 x 768 x 64 = 24,182,784; biases of query and
        #   value 4 x 2 x 64 = 512; join 256x768 + 768 = 197,376: 24,380,672
        # AFF: 768x48 + 48, 48x768 + 768, 2x7x7 + 1, theta = 74,644; classifier 768x2 + 2 = 1538
        parameters=2 * 85_777_152 + 2 * 24_380_672 + 74_644 + 1_538,
        maps={
            "streams.rgb": (768, 18, 18),
            "streams.freq": (768, 18, 18),
            "sbca.s2f.heads.3": (64, 18, 18),
            "rgb_map": (768, 18, 18),
            "freq_map": (768, 18, 18),
            "fuse": (768, 18, 18),
            "final_map": (768, 18, 18),
        },
        ablations=(
            {"band": "mid"},
            {"band": "high"},
            {"streams": "rgb"},
            {"streams": "freq"},
            {"sbca": "off"},
            {"aff": "off"},
            {"train_blocks": 4},
        ),
        frozen={
            "": frozen("rgb", "freq"),
            "streams=rgb": frozen("rgb"),
            "streams=freq": frozen("freq"),
            "train_blocks=4": (),
        },
        sizes=(56, 84, 112),
        steps=30,
    ),
}
