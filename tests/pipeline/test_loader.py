import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_faces import LANDMARKS, SIDE, MadeFaces, crop, write_dataset

from ffpipe.manifests.errors import IntegrityError
from ffpipe.manifests.records import Label, Split
from ffpipe.pipeline.balance import PseudoFakes, entries, parts_of_epoch
from ffpipe.pipeline.batches import EvalBatches, NetworkInput, Pairs, TrainBatches, sida_batches
from ffpipe.pipeline.faces import Face, balancing_copies
from ffpipe.pipeline.loader import Labelled, ShardFaces
from ffpipe.pipeline.packed import PackedFaces, pack
from ffpipe.pipeline.sampler import Sampler
from ffpipe.stages.augment import Augmentation
from ffpipe.stages.infer import to_input
from ffpipe.stages.statistics import face_sida

NETWORK = NetworkInput(size=32, needs_sida=True)


@pytest.fixture
def dataset(tmp_path):
    clips = [(f"g{i // 2}", Label(i % 2), Split.TRAIN) for i in range(4)]
    return write_dataset(tmp_path / "made", clips, frames=3)


@pytest.fixture
def media():
    return {f"{i:032x}": Labelled(i % 2, f"g{i // 2}", 6) for i in range(4)}


def test_every_face_is_found_with_its_own_pixels_and_statistics(dataset, media):
    source = ShardFaces.index([dataset], media)
    table = source.table
    assert len(table) == 12
    faces = source.fetch(range(12))
    for row, face in enumerate(faces):
        number = int(table.media[table.medium[row]], 16)
        expected = crop(1000 * number + int(table.frame[row]) // 10, bool(number % 2))
        assert np.array_equal(face.crop, expected)
        assert np.array_equal(face.sida, face_sida([expected])[0])
        assert table.label[row] == number % 2
        assert table.groups[table.medium[row]] == f"g{number // 2}"


def test_media_that_are_not_asked_for_are_left_out(dataset, media):
    del media[f"{1:032x}"]
    table = ShardFaces.index([dataset], media).table
    assert f"{1:032x}" not in table.media
    assert len(table) == 9


def test_a_medium_of_two_datasets_is_taken_from_the_first(tmp_path, dataset, media):
    other = write_dataset(tmp_path / "other", [("g0", Label.REAL, None), ("g0", Label.FAKE, None)], frames=5)
    table = ShardFaces.index([dataset, other], media).table
    assert len(table) == 12


def test_a_changed_shard_is_refused_by_name(dataset, media):
    path, _ = dataset.shards("faces")[1]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match=path.name):
        ShardFaces.index([type(dataset)(dataset.root, "media", ["faces"])], media)


def test_memory_stays_within_the_bound_whatever_is_read(tmp_path):
    clips = [(f"g{i}", Label(i % 2), Split.TRAIN) for i in range(24)]
    dataset = write_dataset(tmp_path / "many", clips, frames=4)
    media = {f"{i:032x}": Labelled(i % 2, f"g{i}", 6) for i in range(24)}
    whole = ShardFaces.index([dataset], media)
    block = int(whole.table.block_bytes.max())
    source = ShardFaces.index([dataset], media, cache_bytes=3 * block)
    held = []
    for row in np.random.default_rng(0).permutation(len(source.table)).tolist():
        source.fetch([row])
        held.append(source.held_bytes)
    assert max(held) <= 4 * block * 1.1
    assert max(held) > block


def test_an_epoch_reads_each_row_group_about_once(tmp_path):
    clips = [(f"g{i}", Label(i % 2), Split.TRAIN) for i in range(24)]
    dataset = write_dataset(tmp_path / "many", clips, frames=4)
    media = {f"{i:032x}": Labelled(i % 2, f"g{i}", 6) for i in range(24)}
    block = int(ShardFaces.index([dataset], media).table.block_bytes.max())
    source = ShardFaces.index([dataset], media, cache_bytes=6 * block)
    table = source.table
    rows = np.arange(len(table))
    sampler = Sampler(rows, table.block, np.ones_like(rows), table.block_bytes, 5, 0, pool_bytes=5 * block)
    for _ in TrainBatches(source, sampler, NETWORK, Augmentation()).epoch(0):
        pass
    assert 24 <= source.reads <= 24 + 5


def _batches(threads: int) -> TrainBatches:
    source = MadeFaces()
    table = source.table
    rows = np.arange(len(table))
    counts = balancing_copies(table.label)
    copies = np.array([counts[int(label)] + 1 for label in table.label])
    sampler = Sampler(rows, table.block, copies, table.block_bytes, 7, 3)
    return TrainBatches(source, sampler, NETWORK, Augmentation(horizontal_flip=0.5), threads)


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_an_epoch_begun_in_the_middle_equals_the_rest_of_a_whole_one(threads):
    whole = list(_batches(0).epoch(2))
    rest = list(_batches(threads).epoch(2, start=5))
    assert len(rest) == len(whole) - 5
    for expected, batch in zip(whole[5:], rest, strict=True):
        assert batch.image.equal(expected.image)
        assert batch.label.equal(expected.label)
        assert expected.sida is not None
        assert batch.sida is not None
        assert batch.sida.equal(expected.sida)


def test_a_failure_while_loading_ahead_is_raised_where_the_batch_is_used():
    batches = _batches(2)
    batches.source.fetch = lambda rows: [][1]  # type: ignore[method-assign]
    with pytest.raises(IndexError):
        list(batches.epoch(0))


def test_the_image_and_the_statistics_come_from_the_same_flipped_crop(dataset, media):
    source = ShardFaces.index([dataset], media)
    table = source.table
    rows = np.arange(len(table))
    sampler = Sampler(rows, table.block, np.ones_like(rows), table.block_bytes, 4, 0)
    always = TrainBatches(source, sampler, NETWORK, Augmentation(horizontal_flip=1.0))
    order = sampler.order(0)
    for step, batch in enumerate(always.epoch(0)):
        assert batch.sida is not None
        for place, row in enumerate(sampler.batch(order, step).rows.tolist()):
            flipped = np.ascontiguousarray(source.fetch([row])[0].crop[:, ::-1])
            assert batch.image[place].equal(to_input(flipped, 32))
            assert np.array_equal(batch.sida[place].numpy(), face_sida([flipped])[0])


class _Images(MadeFaces):
    """Faces whose crops are images of `shape`, each pixel holding its own place."""

    def __init__(self, shape: tuple[int, int]) -> None:
        super().__init__()
        self.image = np.zeros((*shape, 3), np.uint8)
        self.image[..., 0] = np.arange(shape[0])[:, None]
        self.image[..., 1] = np.arange(shape[1])

    def fetch(self, rows):
        return [Face(self.image, face.sida) for face in super().fetch(rows)]


def _corners(shape: tuple[int, int]) -> np.ndarray:
    """Upper left pixel of each window of an epoch, (n, 2)."""
    source = _Images(shape)
    rows = np.arange(len(source.table))
    sampler = Sampler(rows, source.table.block, np.ones_like(rows), source.table.block_bytes, 8, 0)
    network = NetworkInput(32, needs_sida=False, fit="crop")
    batches = TrainBatches(source, sampler, network, Augmentation())
    images = torch.cat([batch.image for batch in batches.epoch(1)])
    assert images.shape[1:] == (3, 32, 32)
    return (images[:, :2, 0, 0] * 255).round().numpy().astype(int)


def test_whole_images_are_cropped_at_a_place_that_does_not_depend_on_them():
    wide, tall = _corners((132, 232)), _corners((232, 132))
    assert wide[:, 0].max() <= 100 < wide[:, 1].max() <= 200
    assert len({tuple(corner) for corner in wide}) > 40, "each draw has a place of its own"
    # The same draws on images of other sides: one step of the coarser grid is two of the finer.
    assert np.abs(wide[:, 0] * 2 - tall[:, 0]).max() <= 2
    assert np.abs(wide[:, 1] - tall[:, 1] * 2).max() <= 2


def test_validation_crops_whole_images_at_their_centre():
    source = _Images((132, 232))
    batches = EvalBatches(source, np.arange(3), NetworkInput(32, needs_sida=False, fit="crop"), batch_size=2)
    for _, batch in batches.batches():
        assert (batch.image[:, :2, 0, 0] * 255).round().tolist() == [[50.0, 100.0]] * len(batch)


def test_validation_sees_stored_faces_in_order():
    source = MadeFaces()
    rows = np.array([3, 9, 4, 1, 30])
    batches = EvalBatches(source, rows, NetworkInput(32, needs_sida=False), batch_size=2)
    seen = list(batches.batches())
    assert [len(batch) for _, batch in seen] == [2, 2, 1]
    assert all(batch.sida is None for _, batch in seen)
    images = [image for _, batch in seen for image in batch.image]
    assert all(
        image.equal(to_input(face.crop, 32)) for image, face in zip(images, source.fetch(rows), strict=True)
    )


def test_packed_faces_give_the_same_batches_as_the_shards(dataset, media, tmp_path):
    source = ShardFaces.index([dataset], media)
    pack(source, np.array([1, 4, 5, 8, 11]), tmp_path / "packed")
    packed = PackedFaces(tmp_path / "packed")
    assert len(packed.table) == 5
    for row, original in enumerate([1, 4, 5, 8, 11]):
        face, stored = packed.fetch([row])[0], source.fetch([original])[0]
        assert np.array_equal(face.crop, stored.crop)
        assert np.array_equal(face.sida, stored.sida)
        assert (
            packed.table.media[packed.table.medium[row]] == source.table.media[source.table.medium[original]]
        )
        assert (
            packed.table.groups[packed.table.medium[row]]
            == source.table.groups[source.table.medium[original]]
        )
        assert packed.table.label[row] == source.table.label[original]


def test_statistics_are_read_without_their_crops_each_face_once(dataset, media, tmp_path, monkeypatch):
    source = ShardFaces.index([dataset], media)
    pack(source, np.arange(12), tmp_path / "packed")
    expected = np.stack([face.sida for face in source.fetch(range(12))])
    monkeypatch.setattr("ffpipe.pipeline.loader.decode_crop", None)
    monkeypatch.setattr("ffpipe.pipeline.batches._SIDA_BATCH", 5)
    for some in (source, PackedFaces(tmp_path / "packed")):
        assert np.array_equal(some.sida([7, 0, 3]), expected[[7, 0, 3]])
        rows = np.array([11, 2, 9, 4, 0, 6, 5])
        batches = [batch.numpy() for batch in sida_batches(some, rows)]
        assert [len(batch) for batch in batches] == [5, 2]
        assert sorted(map(bytes, np.concatenate(batches))) == sorted(map(bytes, expected[rows]))


def _blending(source, network=NETWORK, threads: int = 0, augmentation=Augmentation(horizontal_flip=0.5)):  # noqa: B008
    """Batches of a training on real faces and fakes made of them."""
    table = source.table
    real = np.flatnonzero(table.label == 0)
    found = entries(parts_of_epoch(table, real, "recipe", True, PseudoFakes()))
    sampler = Sampler(
        found.rows, table.block[found.rows], found.copies, table.block_bytes, 6, 3,
        part=found.part, extra=found.extra, blended=found.blended,
    )  # fmt: skip
    return TrainBatches(source, sampler, network, augmentation, threads, pseudo=True)


def test_blended_draws_are_labelled_fake_and_all_statistics_are_those_of_the_final_pixels():
    batches = _blending(MadeFaces())
    order = batches.sampler.order(1)
    seen = []
    for step, batch in enumerate(batches.epoch(1)):
        draws = batches.sampler.batch(order, step)
        assert batch.label.tolist() == draws.blended.astype(int).tolist()
        assert batch.sida is not None
        for image, d in zip(batch.image, batch.sida, strict=True):
            pixels = (255 * image).round().byte().permute(1, 2, 0).numpy()
            assert np.allclose(d.numpy(), face_sida([pixels])[0])
        seen += batch.label.tolist()
    assert sum(seen) == len(seen) / 2


@pytest.mark.parametrize("threads", [0, 3])
def test_an_epoch_with_blends_goes_on_in_the_middle_as_a_whole_one(threads):
    whole = list(_blending(MadeFaces()).epoch(2))
    rest = list(_blending(MadeFaces(), threads=threads).epoch(2, start=3))
    assert len(rest) == len(whole) - 3
    for expected, batch in zip(whole[3:], rest, strict=True):
        assert batch.image.equal(expected.image)
        assert batch.label.equal(expected.label)


def test_a_blend_is_the_same_in_whatever_batch_and_another_in_every_epoch():
    batches = _blending(MadeFaces())
    (face,) = batches.source.fetch([0])
    draws = [batches.drawn(face, epoch, 0, 0, True, NETWORK).crop for epoch in (0, 0, 1)]
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])
    assert not np.array_equal(draws[0], batches.drawn(face, 0, 0, 0, False, NETWORK).crop)


def test_validation_never_shows_a_blend():
    source = MadeFaces()
    real = np.flatnonzero(source.table.label == 0)
    for place, batch in EvalBatches(source, real, NETWORK, 5).batches():
        expected = torch.stack([to_input(face.crop, 32) for face in source.fetch(real[place].tolist())])
        assert batch.image.equal(expected)
        assert not batch.label.any()


def test_a_pair_is_blended_alike_at_both_qualities():
    source = MadeFaces()
    twins = np.arange(len(source.table))
    batches = replace(_blending(source, augmentation=Augmentation()), pairs=Pairs(twins, NETWORK))
    for batch in batches.epoch(0):
        assert batch.teacher_image is not None
        assert batch.teacher_image.equal(batch.image)


def test_landmarks_and_boxes_are_known_in_shares_of_the_crop(dataset, media):
    table = ShardFaces.index([dataset], media).table
    assert np.isnan(table.landmarks).all()
    assert np.allclose(table.inner, [[0.25, 0.25, 0.75, 0.75]] * len(table))
    assert table.shape(0).landmarks is None


def test_landmarks_of_the_frame_are_found_in_the_crop(tmp_path, media):
    points = tuple(float(v) for v in 1000 + SIDE * LANDMARKS)
    moved = {"landmarks": points, "crop_box": (1000, 1000, 1000 + SIDE, 1000 + SIDE)}
    clips = [("g0", Label.REAL, None), ("g0", Label.FAKE, None)]
    group = write_dataset(tmp_path / "made", clips, face_changes=[moved, {}])
    table = ShardFaces.index([group], media).table
    assert np.allclose(table.landmarks[table.label == 0], LANDMARKS, atol=1e-4)
    assert np.isnan(table.landmarks[table.label == 1]).all()


def test_methods_are_kept_by_medium(dataset, media):
    known = {name: replace(m, method="warp" if m.label else None) for name, m in media.items()}
    assert ShardFaces.index([dataset], known).table.methods == (None, "warp", None, "warp")


def test_packed_faces_keep_landmarks_and_methods_and_older_folders_are_read_without(tmp_path):
    source = MadeFaces()
    pack(source, np.arange(10), tmp_path / "packed")
    table = PackedFaces(tmp_path / "packed").table
    assert np.array_equal(table.landmarks, source.table.landmarks[:10])
    assert np.array_equal(table.inner, source.table.inner[:10])
    assert table.methods == ("warp", "warp")
    for name in ("landmarks", "inner", "methods"):
        (tmp_path / "packed" / f"{name}.npy").unlink()
    older = PackedFaces(tmp_path / "packed").table
    assert older.methods == (None, None)
    assert older.shape(0).landmarks is None
    assert older.shape(0).box[0] > 0.1


def test_packed_files_that_do_not_fit_together_are_refused(dataset, media, tmp_path):
    pack(ShardFaces.index([dataset], media), np.arange(4), tmp_path / "packed")
    np.save(tmp_path / "packed" / "label.npy", np.zeros(3, np.int8))
    with pytest.raises(IntegrityError, match="pack again"):
        PackedFaces(tmp_path / "packed")
    (tmp_path / "packed" / "sida.npy").write_bytes(b"no array")
    with pytest.raises(IntegrityError, match=r"sida\.npy"):
        PackedFaces(tmp_path / "packed")


def test_the_loop_imports_where_ray_arrow_and_decoders_are_missing():
    barred = ("ray", "pyarrow", "pandas", "av", "cv2", "decord", "pydantic", "scipy", "tensorboard")
    code = f"""
import importlib.machinery, sys
class Barred:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {barred!r}:
            return importlib.machinery.ModuleSpec(name, self)
    def create_module(self, spec):
        raise ModuleNotFoundError(spec.name)
sys.meta_path.insert(0, Barred())
import ffpipe.pipeline.training_loop, ffpipe.pipeline.packed, ffpipe.pipeline.batches
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=Path("/")
    )
    assert done.returncode == 0, done.stderr
