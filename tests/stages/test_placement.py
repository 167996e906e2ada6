from __future__ import annotations

from dataclasses import dataclass

import pytest

from ffpipe.stages.placement import Placement


@dataclass(frozen=True)
class _Face:
    track_id: int
    frame_index: int
    box: tuple[float, float, float, float]

    @property
    def face_id(self):
        return f"{self.frame_index}-{self.track_id}"

    @property
    def crop_box(self):
        return tuple(int(side) for side in self.box)


#: Looked at in frames 10, 20, 30 and 40; track 0 is lost in 30, track 1 begins in 20.
FACES = [
    _Face(0, 10, (0, 0, 10, 10)),
    _Face(0, 20, (20, 40, 40, 60)),
    _Face(1, 20, (100, 0, 120, 20)),
    _Face(1, 30, (100, 0, 120, 20)),
    _Face(0, 40, (90, 90, 99, 99)),
]


@pytest.fixture
def placement():
    return Placement([10, 20, 30, 40], [1.0, 2.0, 3.0, 5.0], FACES)


def test_a_frame_that_was_looked_at_has_its_own_faces(placement):
    assert [(p.face_id, p.box, p.held) for p in placement.at(20, 2.0)] == [
        ("20-0", (20, 40, 40, 60), False),
        ("20-1", (100, 0, 120, 20), False),
    ]


def test_between_two_sightings_the_box_moves_with_the_time_and_the_face_is_the_earlier_one(placement):
    (held,) = placement.at(13, 1.25)
    assert held.held
    assert held.face_id == "10-0"
    assert held.box == held.crop_box == (5, 10, 17.5, 22.5)


def test_where_a_track_was_lost_it_has_no_box_before_and_after(placement):
    assert [p.face_id for p in placement.at(25, 2.5)] == ["20-1"]
    assert [p.face_id for p in placement.at(30, 3.0)] == ["30-1"]
    assert placement.at(35, 4.0) == []


@pytest.mark.parametrize(("index", "seconds"), [(0, 0.0), (9, 0.9), (41, 5.1)])
def test_outside_of_what_was_looked_at_there_is_nothing(placement, index, seconds):
    assert placement.at(index, seconds) == []


def test_frames_looked_at_are_known_by_index_and_not_by_having_a_face(placement):
    assert [i for i in range(45) if placement.looked_at(i)] == [10, 20, 30, 40]
    assert not Placement([], [], []).looked_at(0)


def test_two_frames_of_one_time_do_no_harm():
    still = Placement([1, 3], [1.0, 1.0], [_Face(0, 1, (0, 0, 4, 4)), _Face(0, 3, (8, 8, 12, 12))])
    assert still.at(2, 1.0)[0].box == (0, 0, 4, 4)
