"""Peak memory of walking a large table of faces: index, an epoch's order, and every face once as training batches.

Shards of generated rows are written as extract writes them (chunks of 32 media with 32 frames, row groups, checksums),
with the same 1,024 crops of 16 pixels and one D in each: what is read holds as much memory as any D does, while the
disk holds little.
A child process then does what `ffpipe train` does before and beside the network, over one epoch, and its largest
resident set is compared with 2 GB. Another child writes, since a process starts with its parent's largest resident
set. Faces are deleted at the end.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import numpy as np
import pyarrow as pa
import torch
from training_faces import media_record

from ffpipe.manifests.records import FaceRecord, Label, Split
from ffpipe.manifests.schemas import to_table
from ffpipe.manifests.shards import ShardGroup
from ffpipe.pipeline.balance import PseudoFakes
from ffpipe.pipeline.batches import NetworkInput
from ffpipe.pipeline.recipe_book import recipes_of
from ffpipe.pipeline.training_data import choose_media
from ffpipe.pipeline.training_job import TrainingJob, prepare
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.crop import CropSettings, encode_crop

LIMIT = 2e9
MEDIA, FRAMES, SIDE = 32, 32, 16


def face(number: int, frame: int, crop: bytes, d: np.ndarray) -> FaceRecord:
    name = f"{number:032x}"
    return FaceRecord(
        face_id=f"{name}-{frame:06d}-000",
        media_id=name,
        track_id=0,
        frame_index=10 * frame,
        pts_seconds=frame / 3,
        box=(3.0, 3.0, 13.0, 13.0),
        crop_box=(0, 0, SIDE, SIDE),
        detector="made",
        confidence=1.0,
        landmarks=(6.0, 6.0, 10.0, 6.0, 8.0, 9.0, 6.0, 11.0, 10.0, 11.0),
        sharpness=1.0,
        crop_side=SIDE,
        stored_side=SIDE,
        crop=crop,
        sida=d,
    )


def chunks(rows: int) -> Iterator[tuple[str, dict[str, pa.Table]]]:
    """Names and tables of the chunks; only the names of media and faces differ between them."""
    generator = np.random.default_rng(0)
    crops = iter(
        [
            encode_crop(image)
            for image in generator.integers(0, 256, (MEDIA * FRAMES, SIDE, SIDE, 3), np.uint8)
        ]
    )
    d = generator.standard_normal(2304).astype(np.float32)
    first = to_table("faces", [face(n, f, next(crops), d) for n in range(MEDIA) for f in range(FRAMES)])
    for start in range(0, -(-rows // FRAMES), MEDIA):
        numbers = range(start, min(start + MEDIA, -(-rows // FRAMES)))
        media = [
            media_record(
                n,
                f"g{n // 5}",
                Label(n % 5 > 0),
                Split.VAL if n // 5 % 20 == 19 else Split.TRAIN,
                "made",
                FRAMES,
            )
            for n in numbers
        ]
        names = np.repeat([f"{n:032x}" for n in numbers], FRAMES)
        faces = first.slice(0, len(names))
        faces = faces.set_column(faces.schema.get_field_index("media_id"), "media_id", pa.array(names))
        yield f"{start:020x}", {"media": to_table("media", media), "faces": faces.cast(first.schema)}


def write(root: Path, rows: int) -> None:
    group = ShardGroup(root, "media", ["faces"])
    group.create()
    job = {"crop": CropSettings().fingerprint(), "split_source": "made", "configuration": {"store_size": 512}}
    (root / "job.json").write_text(json.dumps(job))
    for name, tables in chunks(rows):
        group.commit(name, "a", tables, [])


def walk(workspace: Path, blended: bool) -> None:
    """What the child does; prints its figures as JSON."""
    torch.set_num_threads(1)
    began, place = time.perf_counter(), Workspace(workspace)
    peaks = {"imports": peak()}
    pseudo = PseudoFakes() if blended else None
    media = choose_media(place, ["made"], None, (), 0, pseudo)
    peaks["media"] = peak()
    recipe = recipes_of("sida-linear")[0]
    folders = (place.dataset("made").root,)
    job = TrainingJob(
        workspace, folders, media.train, media.validation, "sida-linear", recipe, 0, pseudo=pseudo
    )
    source = job.faces(verify=True)
    peaks["index"] = peak()
    train, validation = prepare(job, source, NetworkInput(SIDE, needs_sida=True))
    peaks["order"] = peak()
    faces = sum(len(batch) for batch in train.epoch(0))
    assert validation is not None
    checked = sum(len(batch) for _, batch in validation.batches.batches())
    peaks["walk"] = peak()
    seconds = time.perf_counter() - began
    figures = {
        "table": len(source.table),
        "drawn": faces,
        "checked": checked,
        "seconds": seconds,
        "reads": source.reads,
    }
    print(json.dumps({**figures, "blocks": len(source.table.block_bytes), "peaks": peaks}))


def peak() -> int:
    """Largest resident set so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--pseudo-fakes", action="store_true", help="half of the fakes are self-blended")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--walk", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.write:
        write(given.write / "datasets" / "made", given.rows)
        return
    if given.walk:
        walk(given.walk, given.pseudo_fakes)
        return
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        rows = ["--rows", str(given.rows), *(["--pseudo-fakes"] if given.pseudo_fakes else [])]
        subprocess.run([sys.executable, __file__, *rows, "--write", folder], check=True)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.parquet"))
        print(
            f"{given.rows} rows written in {time.perf_counter() - began:.0f} s, {size / 1e6:.0f} MB",
            flush=True,
        )
        command = [sys.executable, __file__, *rows, "--walk", folder]
        told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = json.loads(told)
    print(
        f"{found['table']} rows walked in {found['seconds']:.0f} s: {found['drawn']} draws of training, "
        f"{found['checked']} faces of validation; {found['reads']} reads of {found['blocks']} row groups"
    )
    print(
        "largest resident set after: " + ", ".join(f"{k} {v / 1e6:.0f} MB" for k, v in found["peaks"].items())
    )
    highest = found["peaks"]["walk"]
    print(f"peak {highest / 1e9:.2f} GB, {highest / LIMIT:.2f} of 2 GB")


if __name__ == "__main__":
    main()
