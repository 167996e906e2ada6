import numpy as np

from ffpipe.pipeline.faces import (
    FaceTable,
    at_most,
    balancing_copies,
    largest_per_frame,
    most_frames,
    rows_of_media,
    spread_frames,
)


def _table(media: list[tuple[int, int]], faces_a_frame: int = 1) -> FaceTable:
    """Media of (label, frames), each frame with so many faces, the later ones larger."""
    medium, frame, side, label = [], [], [], []
    for number, (kind, frames) in enumerate(media):
        for index in range(frames):
            for face in range(faces_a_frame):
                medium.append(number)
                frame.append(5 * index)
                side.append(64 + 8 * face)
                label.append(kind)
    count = len(medium)
    zeros = np.zeros(count, np.int32)
    return FaceTable(
        label=np.array(label, np.int8),
        medium=np.array(medium, np.int32),
        track=zeros,
        frame=np.array(frame, np.int64),
        pts=np.zeros(count),
        box=np.zeros((count, 4), np.float32),
        side=np.array(side, np.int32),
        stored_side=np.full(count, 64, np.int32),
        landmarks=np.full((count, 10), np.nan, np.float32),
        inner=np.zeros((count, 4), np.float32),
        block=zeros,
        place=np.arange(count, dtype=np.int32),
        block_bytes=np.ones(1, np.int64),
        media=tuple(str(i) for i in range(len(media))),
        groups=tuple(str(i) for i in range(len(media))),
        methods=("warp",) * len(media),
        looked=tuple(frames for _, frames in media),
    )


def test_only_the_largest_face_of_a_frame_is_kept():
    table = _table([(0, 3), (1, 2)], faces_a_frame=3)
    kept = largest_per_frame(table, np.arange(len(table)))
    assert len(kept) == 5
    assert set(table.side[kept]) == {64 + 16}


def test_frames_are_spread_evenly_over_each_medium():
    table = _table([(0, 10), (1, 3)])
    kept = spread_frames(table, np.arange(len(table)), 5)
    assert (table.frame[kept][table.medium[kept] == 0] // 5).tolist() == [1, 3, 5, 7, 9]
    assert (table.medium[kept] == 1).sum() == 3
    assert most_frames(table, kept) == 5


def test_a_limit_takes_frames_from_every_medium_before_it_takes_media():
    table = _table([(0, 30)] * 4 + [(1, 30)] * 4)
    kept = at_most(table, np.arange(len(table)), 40, seed=0)
    assert len(kept) <= 40
    assert np.bincount(table.medium[kept]).tolist() == [5] * 8
    few = at_most(table, np.arange(len(table)), 4, seed=0)
    assert sorted(table.label[few].tolist()) == [0, 0, 1, 1]


def test_four_methods_draw_the_real_class_four_times_as_in_the_paper():
    table = _table([(0, 5)] * 3 + [(1, 5)] * 12)
    assert balancing_copies(table.label) == {0: 4, 1: 1}


def test_equal_classes_are_drawn_once_and_a_missing_class_is_no_error():
    assert balancing_copies(np.array([0, 1, 0, 1], np.int8)) == {0: 1, 1: 1}
    assert balancing_copies(np.array([1, 1], np.int8)) == {0: 1, 1: 1}


def test_media_are_found_by_name_and_downscaled_crops_counted():
    table = _table([(0, 2), (1, 3)], faces_a_frame=2)
    rows = rows_of_media(table, ["1", "unknown"])
    assert set(table.medium[rows]) == {1}
    assert table.downscaled(rows) == 3
