"""What the page of one medium says in words: checks, the scale of likelihood ratios, limits, how to cut faces again."""

from __future__ import annotations

from ffpipe.manifests.records import Concern, Status, Verdict
from ffpipe.pipeline.page.texts import STATUSES

#: A concern of its own: faces were accepted that are cut otherwise than those of training.
ACCEPTED = (
    "Cut otherwise than in training",
    "The model was trained on pictures that were cut otherwise, and was applied all the same (--accept-crops). Its "
    "bars and error rates were not measured on pictures like these.",
)
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

UNCALIBRATED = (
    "Uncalibrated: the score is no probability. It orders files by suspicion and is held to the bars; 0.9 does not "
    "mean that nine in ten such files are fake."
)

NOT_COVERED = (
    "No likelihood ratio: this file is outside of what the calibration covers. It has more face tracks than any that "
    "calibrated, or its faces are unlike those of training, or it is an image where videos calibrated or the reverse."
)
INDEPENDENT = (
    "The intervals of these shares take every file for independent. Copies and forgeries of one source are not, so "
    "that the intervals are somewhat too narrow."
)

LIMITS = (
    "A score is what a trained network says of pixels. It is evidence to be weighed with other evidence, and no proof.",
    "The network knows the kinds of manipulation that it was trained on. Others may leave no trace that it can see.",
    "Only faces were examined: not the sound, the background, the text, the place or the time of the recording.",
    "Nothing was looked at between the sampled frames.",
    "Compression, scaling, screen recording, filters, poor light, and small or turned faces change scores.",
)
STILL_LIMITS = (*LIMITS[:3], LIMITS[4])
WHOLE_LIMITS = (
    *LIMITS[:2],
    "Frames were examined whole, cut to the size that the network reads; what lay outside of that was not seen.",
    "Compression, scaling, screen recording and filters change scores.",
)
TIMELINE_NOTE = (
    "Each lane is one face, followed through the video. Each mark is the score of one frame that was looked at, from "
    "0 (below) to 1 (above). The verdict holds a track’s mean, the dotted line, to the bars, and not single frames. "
    "Hatched: the face was not seen there, and nothing is known of it. The bracket below a lane is the worst window: "
    "the 10 s of highest mean, or the whole of a shorter track."
)
MAP_NOTE = (
    "The right picture of each pair shows where the model looked, not proof: bright areas spoke most for “fake” in "
    "this face. Each map is scaled to its own maximum, so that brightness cannot be compared between faces, and the "
    "map of a face with a low score looks no calmer. An empty map: at this layer nothing in the picture "
    "spoke for “fake”."
)
SPECTRUM_NOTE = (
    "The face’s picture is split into blocks of 8 x 8 pixels and each block into 64 frequencies. The curves show how "
    "much neighbouring blocks, and neighbouring frequencies, differ on average (SIDA’s means of the luma, as in "
    "figure 7 of the SFCL-HCMF paper). Forged faces tend to differ at middle and high frequencies, but so do real "
    "ones after strong compression: read it with the quality of the file in mind."
)
CUT_NOTE = (
    "With this table another tool can cut the same faces. Frames count from 0 in the order in which they are shown, "
    "and times are presentation times. Boxes are x0 y0 x1 y1 in pixels of the upright frame, after the rotation tag; "
    "x1 and y1 are exclusive. A crop is the square of its box, the nearest edge pixel repeated where it lies outside "
    "of the frame."
)
CREDENTIALS_NOTE = (
    "Content credentials (C2PA) are statements that someone sealed into the file. They were checked apart from the "
    "detector and took no part in the verdict: valid ones do not show that the face is real, and their absence shows "
    "nothing."
)
#: What each state of content credentials means.
CREDENTIALS_STATES = {
    "absent": "The file carries none.",
    "valid": "The file carries credentials that fit it, from a signer whom the given trust list vouches for.",
    "untrusted": "The file carries credentials that fit it, from a signer whom no trust list vouches for.",
    "invalid": "The file carries credentials that do not validate, for the reasons below: a signer whose certificate "
    "has run out, for one. No hash or signature was found not to fit.",
    "changed": "The file carries credentials that do NOT fit it: one of the two was changed after sealing.",
    "unreadable": "The file carries credentials that cannot be read.",
}
#: What is checked, as a reader is told.
CHECKS = {
    Concern.SMALL_FACE: "face size",
    Concern.BLURRED: "sharpness",
    Concern.FEW_FRAMES: "number of frames",
    Concern.LOW_BITRATE: "bit rate",
    Concern.PARTLY_DECODED: "decoding",
    Concern.OUT_OF_DOMAIN: "likeness to the training data",
}
NO_CAVEATS = "Checked, and nothing found: {}."
NOT_CHECKED = (
    "Not checked: {}. Either this file does not tell, or what is known of the model’s training faces does not say what "
    "is unusual."
)
NO_BANDS = "This model has no bands of real and fake training faces to compare it with, so that the face stands alone."
#: What a status means where nothing was scored.
UNSCORED = {**STATUSES, Status.OK: "Faces were seen, but in too few frames to be scored."}
