"""What decoders that number their frames need: which pictures of the timeline the targets ask for."""

from __future__ import annotations

from collections import Counter

from ffpipe.stages.decode.video import Video


def wanted_pictures(video: Video) -> dict[int, int]:
    """How many targets each wanted picture answers, by its index in the timeline, ascending.

    Targets after the last picture's end are left out, with a fault noted.
    """
    timeline = video.need_timeline()
    if not video.times:
        return dict.fromkeys(range(len(timeline.pts)), 1)
    found = [timeline.shown_at(time) for time in video.times]
    if None in found:
        video.faults.append(f"the last picture ends at {timeline.latest_end:.2f} s")
    return dict(Counter(index for index in found if index is not None))
