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
    Status.NO_FACE: "No face was found, so that there was nothing to judge.",
    Status.UNREADABLE: "Damaged, or not what its name says.",
    Status.UNSUPPORTED: "Holds no video or image that can be read, or is encrypted.",
    Status.TOO_LARGE: "Beyond the limits on pixels or bytes of this run.",
    Status.TIMEOUT: "Took longer than the limit of this run, and was given up.",
    Status.CRASHED: "Ended the process that read it, each time that it was tried.",
    Status.MISSING: "Was gone when it was to be read.",
    Status.CHANGED: "Changed while it was read, so that nothing can be said of it.",
    Status.SKIPPED: "Passed over unopened; the reason is in its row.",
}

#: What makes a score weigh less, as it stands beside a verdict.
CONCERNS: dict[Concern, str] = {
    Concern.SMALL_FACE: "small face",
    Concern.BLURRED: "blurred",
    Concern.FEW_FRAMES: "few frames",
    Concern.LOW_BITRATE: "low bit rate",
    Concern.PARTLY_DECODED: "partly decoded",
    Concern.OUT_OF_DOMAIN: "unlike the training data",
}

UNCALIBRATED = "uncalibrated"
CALIBRATION = {
    True: "Beside a score stands what its calibration makes of it: a probability at even odds, and the base-10 "
    "logarithm of the likelihood ratio. +1 means that such a score was ten times as common among manipulated videos "
    "as among real ones, −1 the reverse.",
    False: "The scores are uncalibrated: they put files in order, and a score of 0.9 is not a probability of 90%.",
}
SCORE = (
    "A score lies between 0 and 1 and is that of the most suspicious face in a file, over all its frames that were "
    "looked at. The higher, the more it resembles the manipulated faces that the model was trained on."
)

LIMITS = (
    "A score is what a trained network says of pixels. It is evidence to be weighed, and no proof.",
    "Compression, small or turned faces, and kinds of manipulation that the network was not trained on change scores.",
    "Only faces were looked at. Sound, captions, context, and whatever was changed outside of faces were not.",
    "Where only part of a file could be decoded, the rest was not looked at.",
)
BYTES = (
    "Where a path is not what is shown, letter by letter, its bytes stand beside it as the file system has them: "
    "printable ASCII, \\\\ for a backslash and \\xNN for every other byte."
)
