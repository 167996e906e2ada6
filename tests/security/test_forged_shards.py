"""Forged shards run no code: extension types are refused from the raw footer, wherever and however they are named.

Reading a Parquet file with plain pyarrow makes every registered extension type that it names, which calls the type's
deserialiser, and a value of Ray's type for Python objects is unpickled as soon as it is looked at. A child process with
ray.data imported reads each forged file with ffpipe and then with plain pyarrow: the first must leave no trace, and the
second must, so that the test would see it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from forged_parquet import BINARY, LIST, STRUCT, Node, forged

from ffpipe.manifests.content import sha256_file
from ffpipe.manifests.errors import IntegrityError
from ffpipe.manifests.parquet import read_batches, read_schema, read_table
from ffpipe.manifests.rows import columns_of, read_rows
from ffpipe.manifests.schemas import check_file
from ffpipe.manifests.shards import Part, ShardGroup
from ffpipe.manifests.split_files import read_split_file
from ffpipe.pipeline.tables import read_provenance

CALLED: list[bytes] = []


class _Seen(pa.ExtensionType):
    """Notes that something deserialises it."""

    def __init__(self, told: bytes = b"", storage: pa.DataType | None = None) -> None:
        self.told = told
        super().__init__(storage or pa.int64(), "test.seen")

    def __arrow_ext_serialize__(self) -> bytes:
        return self.told

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: pa.DataType, serialized: bytes) -> _Seen:
        CALLED.append(serialized)
        return cls(serialized, storage)


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    pa.register_extension_type(_Seen())
    CALLED.clear()
    yield
    pa.unregister_extension_type("test.seen")


def _numbers(told: bytes = b"") -> pa.Array:
    return pa.ExtensionArray.from_storage(_Seen(told), pa.array([1, 2]))


def _columns() -> dict[str, pa.Array]:
    inner = _numbers()
    offsets = pa.array([0, 1, 2], pa.int32())
    return {
        "top": inner,
        "struct": pa.StructArray.from_arrays([inner], names=["inner"]),
        "list": pa.ListArray.from_arrays(offsets, inner),
        "fixed_list": pa.FixedSizeListArray.from_arrays(inner, 1),
        "map": pa.MapArray.from_arrays(offsets, pa.array(["a", "b"]), inner),
        "struct_in_list": pa.ListArray.from_arrays(
            offsets, pa.StructArray.from_arrays([inner], names=["inner"])
        ),
        "of_dictionary": pa.ExtensionArray.from_storage(
            _Seen(storage=pa.dictionary(pa.int32(), pa.string())), pa.array(["a", "b"]).dictionary_encode()
        ),
        "of_list": pa.ExtensionArray.from_storage(
            _Seen(storage=pa.list_(pa.int64())), pa.array([[1], [2, 3]])
        ),
    }


def _refused_everywhere(path: Path) -> None:
    """Every way in which the product reads a file refuses it, and nothing of it was made."""
    CALLED.clear()
    readers = (
        lambda: check_file(path, "media"),
        lambda: read_schema(path),
        lambda: read_table(path, ["media_id"]),
        lambda: list(read_batches(path, None, 100)),
        lambda: columns_of(path),
        lambda: list(read_rows(path, ["media_id"])),
        lambda: read_split_file(path),
        lambda: read_provenance(path),
    )
    for read in readers:
        with pytest.raises(IntegrityError, match="extension types") as caught:
            read()
        assert str(path) in str(caught.value)
        assert CALLED == []


@pytest.mark.parametrize("place", sorted(_columns()))
def test_extension_types_are_refused_wherever_they_stand(tmp_path: Path, place: str) -> None:
    path = tmp_path / "forged.parquet"
    pq.write_table(pa.table({"media_id": _columns()[place]}), path)
    CALLED.clear()
    pq.read_schema(path)
    assert CALLED, "plain pyarrow makes the type: this test can fail"
    _refused_everywhere(path)


def test_extension_types_are_found_in_every_alignment_of_their_text(tmp_path: Path) -> None:
    """The name's place in the schema's base64, and the byte of its length before it, differ with the length."""
    path = tmp_path / "forged.parquet"
    for length in range(70):
        table = pa.table({"x" * (1 + length % 5): _numbers(b"s" * length)})
        pq.write_table(table.replace_schema_metadata({"k": "v" * (length % 7)}), path)
        CALLED.clear()
        pq.read_schema(path)
        assert CALLED
        CALLED.clear()
        with pytest.raises(IntegrityError, match="extension types"):
            read_schema(path)
        assert CALLED == []


_NAME = b"ARROW:extension:name"


def _pair(key: bytes, value: bytes) -> Node:
    return Node({1: (BINARY, key), 2: (BINARY, value)})


@pytest.mark.parametrize(
    "place",
    ["file metadata", "column metadata", "statistics", "created by", "unknown field"],
)
def test_the_name_is_refused_wherever_in_the_footer_it_stands(tmp_path: Path, place: str) -> None:
    """Also where today's pyarrow would not look."""

    def put(footer: Node) -> None:
        facts = footer.at(4, 0, 1, 0, 3)
        if place == "file metadata":
            footer.at(5)[1].append(_pair(_NAME, b"test.seen"))
        elif place == "column metadata":
            facts.put(8, (STRUCT, [_pair(_NAME, b"test.seen")]), LIST)
        elif place == "statistics":
            facts.at(12).put(5, _NAME, BINARY)
        elif place == "created by":
            footer.put(6, _NAME)
        else:
            footer.put(99, _NAME, BINARY)

    path = tmp_path / "forged.parquet"
    path.write_bytes(forged(pa.table({"media_id": ["a"]}), put))
    _refused_everywhere(path)


def test_metadata_of_fields_cannot_name_a_type_and_values_may_say_anything(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    field = pa.field("media_id", pa.int64(), metadata={"ARROW:extension:name": "test.seen"})
    pq.write_table(pa.table({"media_id": [1]}, schema=pa.schema([field])), path)
    _refused_everywhere(path)
    # A page is data: what stands in it is never a type.
    text = pa.table({"media_id": ["ARROW:extension:name=test.seen"] * 3})
    pq.write_table(text, path, write_statistics=False, compression="none")
    assert read_table(path, ["media_id"]).equals(text)


def test_logical_types_of_parquet_itself_make_no_extension_types(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    uuids = pa.array([b"\0" * 16], pa.uuid())
    pq.write_table(pa.table({"id": uuids}), path, store_schema=False)
    assert isinstance(pq.read_schema(path).field("id").type, pa.BaseExtensionType), "plain pyarrow makes one"
    assert read_schema(path).field("id").type == pa.binary(16)


def test_a_committed_shard_of_a_forged_data_set_is_refused(tmp_path: Path) -> None:
    """Its commit fits it in size and hash: an adversary can write that as well."""
    group = ShardGroup(tmp_path / "set", "media", [])
    group.create()
    path = group.root / "media" / "part-c.a.parquet"
    pq.write_table(pa.table({"media_id": _numbers()}), path)
    part = Part(path.name, path.stat().st_size, sha256_file(path), 2)
    facts = {name: getattr(part, name) for name in Part.__slots__}
    (group.root / "media" / "_commits" / "c.json").write_text(
        json.dumps({**facts, "inputs": [], "companions": {}})
    )
    CALLED.clear()
    for read in (lambda: group.read("media"), lambda: group.read_chunk("c", "media")):
        with pytest.raises(IntegrityError, match=r"part-c\.a\.parquet: .*extension types"):
            read()
    assert CALLED == []


_CHILD = """
import json, pickle, sys
from pathlib import Path
import pyarrow as pa, pyarrow.parquet as pq
import ray.data
from ray.data._internal.object_extensions.arrow import ArrowPythonObjectType
from ray.data._internal.tensor_extensions.arrow import ArrowTensorTypeV2
from ffpipe.manifests.errors import IntegrityError
from ffpipe.manifests.rows import read_rows
from ffpipe.manifests.schemas import check_file

folder, told = Path(sys.argv[1]), {}

class Forged:
    def __init__(self, name): self.name = name
    def __reduce__(self): return (open, (str(folder / self.name), "w"))

class Tensor(ArrowTensorTypeV2):
    def __arrow_ext_serialize__(self): return pickle.dumps(Forged("tensor"))

pickled = pa.array([pickle.dumps(Forged("object"))], pa.large_binary())
objects = pa.ExtensionArray.from_storage(ArrowPythonObjectType(), pickled)
tensors = pa.ExtensionArray.from_storage(Tensor((1,), pa.int64()), pa.array([[1]], pa.large_list(pa.int64())))
nested = pa.StructArray.from_arrays([objects], names=["inner"])
for name, column in {"object": objects, "tensor": tensors, "nested": nested}.items():
    path = folder / f"{name}.parquet"
    pq.write_table(pa.table({"path": column}), path)
    ran = lambda: sorted(p.name for p in folder.iterdir() if p.suffix == "")
    refused = []
    for read in (lambda: check_file(path, "media"), lambda: list(read_rows(path, ["path"]))):
        try: read()
        except IntegrityError as error: refused.append(str(error))
    told[name] = {"refused": refused, "ran by ffpipe": ran()}
    try: pq.read_table(path).to_pylist()
    except BaseException as error: pass
    told[name]["ran by pyarrow"] = ran()
    for trace in ran(): (folder / trace).unlink()
print(json.dumps(told))
"""


def test_with_ray_data_imported_a_forged_shard_runs_code_in_pyarrow_and_not_in_ffpipe(tmp_path: Path) -> None:
    """Ray from 2.55 on unpickles a tensor's shape only where it is told to; its Python objects, always."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(tmp_path)],
        env={**os.environ, "RAY_DATA_AUTOLOAD_CLOUDPICKLE_TENSOR_METADATA": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    for name, trace in (("object", "object"), ("tensor", "tensor"), ("nested", "object")):
        assert told[name]["ran by pyarrow"] == [trace], "plain pyarrow runs the code: this test can fail"
        assert told[name]["ran by ffpipe"] == []
        assert len(told[name]["refused"]) == 2
        assert all("extension types" in line and "\n" not in line for line in told[name]["refused"])
