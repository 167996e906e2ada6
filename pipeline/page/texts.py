"""What a page says in words: headings, what each verdict means, and what a score cannot show."""

from __future__ import annotations

from ffpipe.manifests.records import Verdict

TITLE = "ffpipe report"
CAPTION = "One row for each input, in the order in which they were given"

#: What a reader may take from each verdict.
MEANINGS: dict[Verdict, str] = {
    Verdict.LIKELY_MANIPULATED: "The highest-scoring face lies above a bar that few real videos passed in validation.",
    Verdict.INCONCLUSIVE: "The score lies between the bars, or these weights have no bars: nothing is claimed.",
    Verdict.NOT_ASSESSABLE: "No face was found, or the file could not be used; the reason is in its row.",
    Verdict.NO_MANIPULATION_FOUND: "No face scored above the bars. This is no statement that the video is genuine.",
}

LIMITS = (
    "A score is what a trained network says of pixels. It is evidence to be weighed, and no proof.",
    "Compression, small or turned faces, and kinds of manipulation that the network was not trained on change scores.",
    "Where only part of a file could be decoded, the rest was not looked at.",
    "Beside each name stand the bytes of its path as the file system has it: printable ASCII, \\\\ for a backslash "
    "and \\xNN for every other byte.",
)
