"""Sets of diffusion models that share real pictures: Ojha's tree, DIRE's, and copies laid out like ForenSynths."""

from pathlib import Path

import pytest

from ffpipe.manifests import datasets
from ffpipe.manifests.datasets.diffusion_fakes import OJHA, DiffusionFakes
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import Entry, MediaRecord, Split, Status
from ffpipe.stages.evaluation import comparisons


def make(root: Path, *folders: str, pictures: int = 2) -> Path:
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(pictures):
            (root / folder / f"{number}.png").write_bytes(f"{folder}{number}".encode())
    return root


def ojha(root: Path, label_level: bool = True) -> Path:
    reals, fakes = ("/0_real", "/1_fake") if label_level else ("", "")
    return make(root, *(f"{name}{fakes}" for name in OJHA), f"laion{reals}", f"imagenet{reals}")


def sets(entries: list[Entry], root: Path) -> dict[str, set[str]]:
    """What the evaluation compares: set -> folders of its pictures, from the rows that extract would store."""
    folders = {entry.path: str(Path(entry.path).parent.relative_to(root)) for entry in entries}
    media = [
        MediaRecord(
            entry.path, entry.path, b"", "", 0, Status.OK,
            label=entry.label, method=entry.method, subset=entry.subset,
        )
        for entry in entries
    ]  # fmt: skip
    return {name: {folders[path] for path in paths} for name, paths in comparisons(media).items()}


@pytest.mark.parametrize("above", ["", "diffusion_datasets", "datasets/diffusion_datasets"])
@pytest.mark.parametrize("label_level", [True, False])
def test_ojhas_sets_share_their_reals_without_a_second_copy(tmp_path, above, label_level):
    ojha(tmp_path / above, label_level)
    layout, reason = datasets.recognise(tmp_path)
    assert layout.name == "diffusion-fakes"
    assert "with the real pictures of imagenet, laion" in reason
    dataset = datasets.load(tmp_path)
    assert dataset.whole
    assert dataset.split_source == "official test sets"
    assert {entry.split for entry in dataset.entries} == {Split.TEST}
    assert len(dataset.entries) == len({entry.path for entry in dataset.entries}) == 2 * (len(OJHA) + 2)
    reals, fakes = ("/0_real", "/1_fake") if label_level else ("", "")
    assert sets(dataset.entries, tmp_path / above) == {
        f"{real}/{name}": {f"{name}{fakes}", f"{real}{reals}"} for name, real in OJHA.items()
    }
    assert "dalle fake: 2 of 1000" in map(str, dataset.expected)
    assert "laion real: 2 of 1000" in map(str, dataset.expected)


def test_dires_test_sets_are_taken_and_its_training_and_derived_pictures_are_not(tmp_path):
    make(
        tmp_path,
        *(
            f"images/{split}/lsun_bedroom/{name}"
            for split in ("train", "test")
            for name in ("real", "adm", "pndm", "vqdiffusion", "stylegan_official")
        ),
        *(f"images/test/imagenet/{name}/n01440764" for name in ("real", "adm", "sdv1")),
        "dire/test/lsun_bedroom/pndm",
        "recons/test/lsun_bedroom/pndm",
    )
    assert datasets.recognise(tmp_path)[0].name == "diffusion-fakes"
    dataset = datasets.load(tmp_path)
    bedroom = "images/test/lsun_bedroom"
    found = sets(dataset.entries, tmp_path)
    assert found.keys() == {
        "lsun_bedroom/pndm", "lsun_bedroom/vqdiffusion", "lsun_bedroom/adm", "lsun_bedroom/stylegan_official",
        "imagenet/adm", "imagenet/sdv1",
    }  # fmt: skip
    assert found["lsun_bedroom/pndm"] == {f"{bedroom}/pndm", f"{bedroom}/real"}
    assert found["imagenet/sdv1"] == {f"images/test/imagenet/{n}/n01440764" for n in ("sdv1", "real")}
    assert "training and validation folders were left out: images/train/lsun_bedroom" in dataset.notes, (
        dataset.notes
    )


def test_both_owners_trees_under_one_folder_make_fssnets_ten_sets(tmp_path):
    ojha(tmp_path / "diffusion_datasets")
    make(tmp_path, *(f"DIRE/images/test/lsun_bedroom/{name}" for name in ("real", "pndm", "vqdiffusion")))
    found = sets(datasets.load(tmp_path).entries, tmp_path)
    assert {name.split("/")[1] for name in found} == {*OJHA, "pndm", "vqdiffusion"}
    assert len(found) == 10


def test_dires_sets_may_stand_among_ojhas(tmp_path):
    ojha(tmp_path)
    make(tmp_path, "pndm/1_fake", "VQ-Diffusion/1_fake", "lsun_bedroom/0_real")
    found = sets(datasets.load(tmp_path).entries, tmp_path)
    assert found["lsun_bedroom/vqdiffusion"] == {"VQ-Diffusion/1_fake", "lsun_bedroom/0_real"}
    assert len(found) == 10


def test_sets_with_reals_of_their_own_keep_them(tmp_path):
    places = ("dalle", "ldm_100", "pndm/bedroom")
    make(tmp_path, *(f"{place}/{label}" for place in places for label in ("0_real", "1_fake")))
    assert datasets.recognise(tmp_path)[0].name == "diffusion-fakes"
    assert sets(datasets.load(tmp_path).entries, tmp_path) == {
        place.split("/")[0]: {f"{place}/0_real", f"{place}/1_fake"} for place in places
    }


def test_sets_of_a_forensynths_tree_stay_there(tmp_path):
    make(tmp_path, *(f"test/{s}/{label}" for s in ("dalle", "ldm_100") for label in ("0_real", "1_fake")))
    assert datasets.recognise(tmp_path)[0].name == "forensynths"


def test_a_set_without_its_reals_is_said(tmp_path):
    make(tmp_path, "guided/1_fake", "dalle/1_fake", "laion/0_real")
    dataset = datasets.load(tmp_path)
    assert "guided has no real pictures: imagenet/ is not beside it" in dataset.notes
    assert sets(dataset.entries, tmp_path)["guided"] == {"guided/1_fake"}


def test_other_files_are_skipped_or_counted(tmp_path):
    ojha(tmp_path)
    (tmp_path / "dalle/1_fake/clip.mp4").write_bytes(b"clip")
    (tmp_path / "dalle/1_fake/list.txt").write_text("names")
    dataset = datasets.load(tmp_path)
    assert [Path(skipped.path).name for skipped in dataset.skipped] == ["clip.mp4"]
    assert dataset.companions == {".txt": 1}


def test_training_folders_alone_and_split_files_are_refused(tmp_path):
    make(tmp_path, *(f"train/lsun_bedroom/{name}" for name in ("real", "pndm")))
    assert DiffusionFakes().recognise(tmp_path) is None
    with pytest.raises(UsageError, match="only training and validation folders"):
        datasets.load(tmp_path, "diffusion-fakes")
    with pytest.raises(UsageError, match="test material only"):
        datasets.load(tmp_path, "diffusion-fakes", splits_dir=tmp_path)
