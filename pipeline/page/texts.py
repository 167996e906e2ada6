"""What a page says in words: headings, what verdicts, statuses and concerns mean, and what a score cannot show."""

from __future__ import annotations

from ffpipe.manifests.records import Concern, Status, Verdict

TITLE = "ffpipe report"

#: What a reader may take from each verdict.
MEANINGS: dict[Verdict, str] = {
    Verdict.LIKELY_MANIPULATED: "The highest-scoring face lies above a bar that few real videos passed in validation.",
    Verdict.INCONCLUSIVE: "The score lies between the bars, or cannot bear a verdict: nothing is claimed.",
    Verdict.NOT_ASSESSABLE: "No face was found, or the file could not be used; the reason is in its row.",
    Verdict.NO_MANIPULATION_FOUND: "No face scored above the bars. This is no statement that the video is genuine.",
}

#: What became of a file, for people who did not run the program.
STATUSES: dict[Status, str] = {
    Status.OK: "Read as planned.",
    Status.PARTIAL: "Only a part could be decoded; what was decoded was judged.",
    Status.NO_FACE: "Read, and no face was found in the frames that were looked at.",
    Status.UNREADABLE: "Damaged, or not what its name says. Ask for another copy.",
    Status.UNSUPPORTED: "Holds no video or image that can be read, or is encrypted.",
    Status.TOO_LARGE: "Beyond the limits of this run, which can be raised.",
    Status.TIMEOUT: "Took longer than the limit of this run, and was given up.",
    Status.CRASHED: "Ended the process that read it, each time that it was tried.",
    Status.MISSING: "Was gone when it was to be read.",
    Status.CHANGED: "Changed while it was read, so that nothing can be said of it.",
    Status.SKIPPED: "Passed over unopened; the reason is in its row.",
}

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
UNCALIBRATED = "uncalibrated"
NOT_COVERED = "outside of the calibration"
CALIBRATION = {
    True: "Beside a score stands what its calibration makes of it: a probability at even odds, and the base-10 "
    "logarithm of the likelihood ratio. +1 means that such a score was ten times as common among manipulated videos "
    "as among real ones, −1 the reverse. Files that are unlike those that calibrated have none.",
    False: "The scores are uncalibrated: they put files in order, and a score of 0.9 is not a probability of 90%.",
}
POSTERIOR = (
    "A posterior is the probability that a file is manipulated where, before anyone looked, that of every file was {}. "
    "Whoever ran the program chose this prior; with another one the posteriors are others."
)
SCORE = (
    "A score lies between 0 and 1 and is that of the most suspicious face in a file, over all its frames that were "
    "looked at. The higher, the more it resembles the manipulated faces that the model was trained on."
)

#: The same for pictures that were scored whole.
WHOLE_SCORE = (
    "A score lies between 0 and 1 and is that of a file's pictures, over all that were looked at. The higher, the more "
    "they resemble the manipulated or generated pictures that the model was trained on."
)

LIMITS = (
    "A score is what a trained network says of pixels. It is evidence to be weighed, and no proof.",
    "Compression, small or turned faces, and kinds of manipulation that the network was not trained on change scores.",
    "Only faces were looked at. Sound, captions, context, and whatever was changed outside of faces were not.",
    "Where only part of a file could be decoded, the rest was not looked at.",
)
WHOLE_LIMITS = (
    LIMITS[0],
    "Compression, scaling, and kinds of manipulation that the network was not trained on change scores.",
    "Pictures were looked at whole, cut to the size that the network reads. Sound, captions and context were not.",
    LIMITS[3],
)
BYTES = (
    "Where a path is not what is shown, letter by letter, its bytes stand beside it as the file system has them: "
    "printable ASCII, \\\\ for a backslash and \\xNN for every other byte."
)
