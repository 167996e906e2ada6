"""The recipes of every detector: the papers' printed settings, house settings where they print none, and quick ones.

What a paper does not print is a house setting, said where it stands. Common to all: faces are stored and augmented
alike for both classes, the rarer class is drawn several times, and the best epoch on validation is kept.
"""

from __future__ import annotations

from dataclasses import replace

from ffpipe.pipeline.recipes import Recipe
from ffpipe.stages.augment import Augmentation

#: FaceForensics++ came with four methods; papers that name those do not train on the two that were added.
_ADDED_TO_FFPP = ("FaceShifter", "DeepFakeDetection")


def _quick(paper: Recipe, summary: str, epochs: int, **options: str | int) -> Recipe:
    """A paper's recipe for a machine without a GPU: it shows the mechanics in minutes, not the paper's accuracy."""
    return replace(
        paper,
        name="quick",
        summary=summary,
        epochs=epochs,
        batch_size=8,
        accumulate=1,
        frames_per_video=32,
        pretrained=None,
        options=options,
    )


def _adam(quick: Recipe) -> Recipe:
    """With Adam in place of SGD, which brings random weights less far in so few epochs."""
    return replace(quick, optimiser="adam", momentum=0.0, learning_rate=1e-3)


_SMALL = "a small network from random weights"
_SMALL_IMAGES = "small images, the network from random weights"

#: Section 4 of the SFCL-HCMF paper: 270 frames a video of FaceForensics++'s four methods. It draws the real class
#: four times, which is what balancing does there, and names no other augmentation than flips.
_SFCL = Recipe(
    name="paper",
    summary="the SFCL-HCMF paper's settings",
    epochs=20,
    batch_size=20,
    learning_rate=1e-3,
    weight_decay=1e-8,
    frames_per_video=270,
    pretrained="imagenet",
    left_out=_ADDED_TO_FFPP,
)
_SFCL_QUICK = _quick(
    _SFCL, _SMALL, 10, input_size=128, backbone="efficientnet-b0", cnn_f="xception-small", embed_dim=256
)

#: Section 4.1 of the SFFB paper. House: 30 epochs, no weight decay, and the amounts of grey and of colour jitter:
#: torchvision's default probability of grey, and strengths that leave skin looking like skin.
_SFFB = Recipe(
    name="paper",
    summary="the SFFB paper's settings",
    epochs=30,
    batch_size=32,
    learning_rate=2e-4,
    weight_decay=0.0,
    frames_per_video=50,
    pretrained="imagenet",
    augmentation=Augmentation(
        horizontal_flip=0.5,
        grayscale=0.1,
        jitter=0.5,
        brightness=0.2,
        contrast=0.2,
        saturation=0.2,
        hue=0.05,
    ),
    left_out=_ADDED_TO_FFPP,
)
_SFFB_QUICK = replace(_quick(_SFFB, _SMALL, 8, input_size=96, backbone="xception-small"), learning_rate=1e-3)

#: The same paper's student: "no initial weights", and a trained teacher beside it.
_STUDENT = replace(_SFFB, summary="the SFFB paper's settings for a student with a teacher", pretrained=None)
_STUDENT_QUICK = replace(_SFFB_QUICK, summary="a small student with a teacher of its size")

#: Section 4.1 of the FAClue paper; its 20 frames a video are those of its protocol. House: 30 epochs.
_FACLUE = Recipe(
    name="paper",
    summary="the FAClue paper's settings",
    epochs=30,
    batch_size=32,
    learning_rate=1e-2,
    weight_decay=1e-4,
    frames_per_video=20,
    optimiser="sgd",
    momentum=0.9,
    schedule="cosine",
    pretrained="imagenet",
    augmentation=Augmentation(horizontal_flip=0.5, vertical_flip=0.5),
    left_out=_ADDED_TO_FFPP,
)
_FACLUE_QUICK = _adam(_quick(_FACLUE, _SMALL_IMAGES, 8, input_size=96))

#: Section 4.3 of the FSSNet paper, which names no transform but its crop. House: torch's default weight decay of
#: AdamW, and 32 frames where the images are those of videos.
_FSSNET = Recipe(
    name="paper",
    summary="the FSSNet paper's settings",
    epochs=50,
    batch_size=64,
    learning_rate=4e-6,
    weight_decay=1e-2,
    frames_per_video=32,
    optimiser="adamw",
    schedule="cosine",
    pretrained="dinov2",
    augmentation=Augmentation(),
    patience=6,
)
_FSSNET_QUICK = replace(
    _quick(_FSSNET, _SMALL, 10, input_size=112, backbone="vit-tiny", train_blocks=4),
    # The paper's rate is for the last blocks of a network that has seen 142 million pictures.
    learning_rate=3e-4,
)

#: House settings of the networks that are trained as classifiers on nothing but the image, and of other detectors
#: that bring no recipe.
_HOUSE = Recipe(
    name="paper",
    summary="house settings, since no published recipe is recorded",
    epochs=20,
    batch_size=32,
    learning_rate=2e-4,
    weight_decay=1e-5,
    frames_per_video=32,
    pretrained="imagenet",
)
_HOUSE_QUICK = replace(_quick(_HOUSE, "a few epochs from random weights", 5), learning_rate=1e-3)


def _house(input_size: int) -> tuple[Recipe, Recipe]:
    """House settings, quick on images of this side."""
    return _HOUSE, replace(_HOUSE_QUICK, summary=_SMALL_IMAGES, options={"input_size": input_size})


#: The MesoNet paper: Adam at 1e-3, batches of 75. House: a cosine in place of a tenth every 1000 updates, the
#: epochs, the frames, and flips alone of its small transforms.
_MESO4 = replace(
    _HOUSE,
    summary="the MesoNet paper's optimiser and batch, house settings else",
    batch_size=75,
    learning_rate=1e-3,
    weight_decay=0.0,
    schedule="cosine",
    pretrained=None,
)

#: The F3-Net paper: SGD at 2e-3, momentum 0.9, cosine, 270 frames a video, and batches of 128, here as four of 32 to
#: fit in 24 GB (BatchNorm sees 32). House: flips, no weight decay, and 12 epochs, about its 150,000 updates on
#: FaceForensics++ (720 x 270 faces of each of four methods, and as many real ones).
_F3NET = Recipe(
    name="paper",
    summary="the F3-Net paper's settings",
    epochs=12,
    batch_size=32,
    accumulate=4,
    learning_rate=2e-3,
    weight_decay=0.0,
    frames_per_video=270,
    optimiser="sgd",
    momentum=0.9,
    schedule="cosine",
    pretrained="imagenet",
    left_out=_ADDED_TO_FFPP,
)
_F3NET_QUICK = _adam(_quick(_F3NET, _SMALL, 8, input_size=96, backbone="xception-small"))

#: House settings; D is taken as stored, at original resolution, so nothing is augmented.
_LINEAR = replace(
    _HOUSE,
    summary="house settings of a logistic regression",
    epochs=60,
    batch_size=256,
    learning_rate=1e-3,
    weight_decay=1e-4,
    schedule="cosine",
    pretrained=None,
    augmentation=Augmentation(),
)

#: Detector -> its recipes, paper and quick.
RECIPES: dict[str, tuple[Recipe, Recipe]] = {
    "sfcl-hcmf": (_SFCL, _SFCL_QUICK),
    "sffb": (_SFFB, _SFFB_QUICK),
    "sffb-kd": (_STUDENT, _STUDENT_QUICK),
    "faclue": (_FACLUE, _FACLUE_QUICK),
    "fssnet": (_FSSNET, _FSSNET_QUICK),
    "xception": _house(96),
    "efficientnet-b0": _house(128),
    "efficientnet-b4": _house(96),
    "resnet50": _house(96),
    "meso4": (_MESO4, _quick(_MESO4, _SMALL_IMAGES, 20, input_size=128)),
    "f3net": (_F3NET, _F3NET_QUICK),
    "sida-linear": (_LINEAR, _quick(_LINEAR, "a logistic regression, few epochs", 30)),
}


def recipes_of(detector: str) -> tuple[Recipe, Recipe]:
    """The paper's recipe and the quick one of a detector; house settings where the book has none."""
    return RECIPES.get(detector, (_HOUSE, _HOUSE_QUICK))
