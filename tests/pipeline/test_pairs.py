from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from training_faces import MadeFaces, media_record, write_dataset

from ffpipe.manifests.records import Label, Split
from ffpipe.pipeline.batches import NetworkInput, Pairs, TrainBatches
from ffpipe.pipeline.loader import Labelled, ShardFaces
from ffpipe.pipeline.packed import PackedFaces, pack
from ffpipe.pipeline.pairs import UNPAIRED, bytes_with_pairs, pair_rows, partners
from ffpipe.pipeline.sampler import Sampler
from ffpipe.stages.augment import Augmentation
from ffpipe.stages.statistics import face_sida

CLIPS = [(f"g{i // 2}", Label(i % 2), Split.TRAIN) for i in range(6)]
COUNT = len(CLIPS)


@pytest.fixture
def groups(tmp_path):
    """The same clips at two qualities: c40 first, and coarser."""
    root = tmp_path / "made"
    write_dataset(root, CLIPS, quality="c40", pairs="clip", coarse=16)
    return [write_dataset(root, CLIPS, first=COUNT, quality="c0", pairs="clip")]


MEDIA = {f"{n:032x}": Labelled(n % 2, f"g{n // 2}", 4) for n in range(2 * COUNT)}
PARTNER = {f"{n:032x}": f"{n + COUNT:032x}" for n in range(COUNT)}


def record(number, quality, pair="clip", **changes):
    return media_record(number, "g", Label.REAL, None, "made", 4, quality=quality, pair_id=pair, **changes)


def test_a_partner_is_the_same_clip_at_the_quality_wanted():
    own, better, worse = record(1, "c40"), record(2, "c0"), record(3, "c23")
    lonely, unnamed = record(4, "c40", "other"), record(5, "c40", None)
    media = [own, better, worse, lonely, unnamed]
    students = {m.media_id for m in (own, lonely, unnamed)}
    assert partners(media, students, "c0") == {own.media_id: better}
    assert partners(media, students, "c23") == {own.media_id: worse}
    assert partners(media, {own.media_id}, "c40") == {own.media_id: own}, "a quality may teach itself"


def test_of_several_partners_one_of_the_same_dataset_goes_first():
    own = record(1, "c40")
    others = [replace(record(2, "c0"), dataset="another"), record(4, "c0"), record(3, "c0")]
    assert partners([own, *others], {own.media_id}, "c0")[own.media_id] == others[2]


def test_each_face_pairs_with_the_same_frame_track_and_box(groups):
    table = ShardFaces.index(groups, MEDIA).table
    rows = pair_rows(table, PARTNER)
    students = np.flatnonzero(rows != UNPAIRED)
    assert len(students) == COUNT * 4
    for row in students:
        other = rows[row]
        assert PARTNER[table.media[table.medium[row]]] == table.media[table.medium[other]]
        assert (table.frame[row], table.track[row]) == (table.frame[other], table.track[other])


@pytest.mark.parametrize("column", ["frame", "track", "box"])
def test_what_differs_is_no_pair(groups, column):
    table = ShardFaces.index(groups, MEDIA).table
    changed = getattr(table, column).copy()
    row = int(np.flatnonzero(table.medium == table.media.index(f"{0:032x}"))[1])
    changed[row] += 1
    rows = pair_rows(replace(table, **{column: changed}), PARTNER)
    before = pair_rows(table, PARTNER)
    assert rows[row] == UNPAIRED
    assert before[row] != UNPAIRED
    assert np.array_equal(np.delete(rows, row), np.delete(before, row))


def test_a_partner_without_faces_and_an_empty_table_pair_nothing(groups):
    some = {name: medium for name, medium in MEDIA.items() if name != f"{COUNT:032x}"}
    table = ShardFaces.index(groups, some).table
    alone = table.medium == table.media.index(f"{0:032x}")
    assert (pair_rows(table, PARTNER)[alone] == UNPAIRED).all()
    assert len(pair_rows(ShardFaces.index(groups, {}).table, PARTNER)) == 0


def test_the_bytes_of_a_block_count_those_of_its_pairs_once():
    made = MadeFaces()
    table = replace(
        made.table,
        block=(np.arange(48) // 16).astype(np.int32),
        block_bytes=np.array([100, 10, 1], np.int64),
    )
    pairs = np.full(48, UNPAIRED)
    pairs[:4], pairs[4:16] = np.arange(32, 36), np.arange(16, 28)
    assert bytes_with_pairs(table, np.arange(16), pairs).tolist() == [111, 10, 1]
    pairs[:16] = np.arange(16)
    assert bytes_with_pairs(table, np.arange(16), pairs).tolist() == [100, 10, 1]


def batches(source, flip=0.5, student_sida=False, teacher_sida=False, **changes):
    table = source.table
    rows = pair_rows(table, PARTNER)
    students = np.flatnonzero(rows != UNPAIRED)
    sampler = Sampler(
        students,
        table.block[students],
        np.full(len(students), 2),
        bytes_with_pairs(table, students, rows),
        batch_size=5,
        seed=1,
        **changes,
    )
    return TrainBatches(
        source,
        sampler,
        NetworkInput(32, student_sida),
        Augmentation(horizontal_flip=flip),
        pairs=Pairs(rows, NetworkInput(32, teacher_sida)),
    )


def test_both_images_of_a_pair_share_every_draw(groups):
    source = ShardFaces.index(groups, MEDIA)
    plain = {row: source.fetch([row])[0].crop for row in range(len(source.table))}
    turned = 0
    for batch in batches(source).epoch(0):
        assert batch.teacher_image is not None
        student, teacher = ((image * 255).round().to(int) for image in (batch.image, batch.teacher_image))
        assert (teacher // 16 * 16 == student).all()
        assert not (teacher == student).all()
        shown = student.permute(0, 2, 3, 1).numpy().astype(np.uint8)
        turned += sum(not any(np.array_equal(face, other) for other in plain.values()) for face in shown)
    assert 0 < turned < 2 * COUNT * 4


def test_a_teacher_gets_its_own_size_and_statistics(groups):
    source = ShardFaces.index(groups, MEDIA)
    made = batches(source, flip=0.0, teacher_sida=True)
    made = replace(made, pairs=replace(made.pairs, network=NetworkInput(16, needs_sida=True)))
    batch = next(made.epoch(0))
    assert batch.image.shape == (5, 3, 32, 32)
    assert batch.teacher_image.shape == (5, 3, 16, 16)
    assert batch.sida is None
    drawn = made.sampler.batch(made.sampler.order(0), 0).rows
    wanted = [source.fetch([row])[0] for row in made.pairs.rows[drawn]]
    np.testing.assert_array_equal(batch.teacher_sida.numpy(), np.stack([face.sida for face in wanted]))
    flipped = next(batches(source, flip=1.0, teacher_sida=True).epoch(0))
    np.testing.assert_array_equal(
        flipped.teacher_sida.numpy(), np.stack([face_sida([face.crop[:, ::-1]])[0] for face in wanted])
    )


def test_batches_are_the_same_with_threads_and_from_the_middle(groups):
    made = batches(ShardFaces.index(groups, MEDIA))
    whole = list(made.epoch(1))
    for other in (list(replace(made, threads=3).epoch(1)), [*whole[:4], *made.epoch(1, 4)]):
        assert all((a.image == b.image).all() for a, b in zip(whole, other, strict=True))
        assert all((a.teacher_image == b.teacher_image).all() for a, b in zip(whole, other, strict=True))


def test_an_epoch_reads_each_block_once_for_each_copy(groups):
    """A block is a clip here; the reader holds six of the twelve."""
    size = int(ShardFaces.index(groups, MEDIA).table.block_bytes.max())
    source = ShardFaces.index(groups, MEDIA, cache_bytes=6 * size)
    made = batches(source, pool_bytes=5 * size)
    assert sum(len(batch) for batch in made.epoch(0)) == 2 * COUNT * 4
    # A pool holds 2 or 3 units of two blocks; of 12 units, each may come in a pool without its other copy.
    assert source.reads <= 2 * 2 * COUNT


def test_packed_faces_keep_their_pairs(groups, tmp_path):
    source = ShardFaces.index(groups, MEDIA)
    pack(source, np.arange(len(source.table)), tmp_path / "packed")
    packed = PackedFaces(tmp_path / "packed")
    for ours, theirs in zip(batches(packed).epoch(0), batches(source).epoch(0), strict=False):
        assert len(ours) == len(theirs)
    assert np.array_equal(pair_rows(packed.table, PARTNER), pair_rows(source.table, PARTNER))
    assert np.array_equal(packed.fetch([3])[0].crop, source.fetch([3])[0].crop)
