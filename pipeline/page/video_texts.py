"""What the page of one medium says in words: checks, the scale of likelihood ratios, limits, how faces are cut again."""

from __future__ import annotations

from ffpipe.manifests.records import Concern, Verdict

#: Each check that makes a result weigh less: its name, and what it means for the reader.
CONCERNS: dict[Concern, tuple[str, str]] = {
    Concern.SMALL_FACE: (
        "Small face",
        "The face covers few pixels. Traces of manipulation are faint or gone at that size, so both a high and a low "
        "score say less.",
    ),
    Concern.BLURRED: (
        "Blurred face",
        "The face is out of focus, in motion or smoothed. Blur removes the fine structure that the score rests on.",
    ),
    Concern.FEW_FRAMES: (
        "Few frames",
        "The face was seen in few of the frames that were looked at. One odd frame then weighs much in the mean.",
    ),
    Concern.LOW_BITRATE: (
        "Low bit rate",
        "The video is strongly compressed. Compression hides traces of manipulation and makes traces of its own.",
    ),
    Concern.PARTLY_DECODED: (
        "Partly decoded",
        "Part of the file could not be decoded. What is there was not looked at, and could show something else.",
    ),
    Concern.OUT_OF_DOMAIN: (
        "Unlike the training data",
        "The statistics of these faces lie far from those of the faces that the model learned from. Its error rates "
        "were measured on faces like those, and may not hold here.",
    ),
}
#: What may follow from a verdict, in the sentence that stands below it.
VERDICT_SENTENCES: dict[Verdict, str] = {
    Verdict.LIKELY_MANIPULATED: "This points to manipulation of at least one face. It is no proof: some real videos "
    "score as high, and how many is said below.",
    Verdict.INCONCLUSIVE: "Nothing is claimed in either direction.",
    Verdict.NOT_ASSESSABLE: "Nothing can be said about manipulation: there was nothing that could be scored.",
    Verdict.NO_MANIPULATION_FOUND: "The method found no sign of the manipulations it knows. It does not follow that "
    "there are none: how often it misses fakes depends on their kind and quality.",
}
#: From which likelihood ratio the words apply: the verbal scale of the ENFSI guideline.
ENFSI = (
    (1_000_000, "extremely strong support"),
    (10_000, "very strong support"),
    (1_000, "strong support"),
    (100, "moderately strong support"),
    (10, "moderate support"),
    (2, "weak support"),
)
ENFSI_SOURCE = "ENFSI guideline for evaluative reporting in forensic science, version 3.0, 2015"

LIMITS = (
    "A score is what a trained network says of pixels. It is evidence to be weighed with other evidence, and no proof.",
    "The network knows the kinds of manipulation that it was trained on. Others may leave no trace that it can see.",
    "Only faces were examined: not the sound, the background, the text, the place or the time of the recording.",
    "Between the frames that were looked at, nothing was looked at.",
    "Compression, scaling, screen recording, small or turned faces, make-up filters and poor light change scores.",
)
WHOLE_LIMITS = (
    LIMITS[0],
    LIMITS[1],
    "The picture was examined whole, cropped to the size that the network reads; what lies outside was not seen.",
)
MAP_NOTE = (
    "A heat map shows where the model looked, not proof: bright areas spoke most for “fake” in this face. Each map is "
    "scaled to its own maximum, so brightness cannot be compared between faces, and a map of a low score "
    "looks no calmer than one of a high score."
)
CUT_NOTE = (
    "Frame numbers count from 0 in presentation order, and times are presentation times. Boxes are x0 y0 x1 y1 in pixels "
    "of the upright frame (after the rotation tag), x1 and y1 exclusive. A crop is the square of its box, the nearest "
    "edge pixel repeated where it lies outside the frame, and downscaled by area averaging where it is larger than the store size."
)
