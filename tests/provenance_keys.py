"""The provenance that a file of any kind carries, read by means that are not ours, and what it has to say."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from PIL import Image

#: What every output has to tell, by the words of the specification.
NEEDED = {
    "ffpipe", "commit", "command", "configuration", "configuration_hash", "weights_sha256", "calibration",
    "libraries", "ffmpeg", "device", "seed", "started", "finished",
}  # fmt: skip


def provenance_in(path: Path) -> dict[str, Any]:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return json.loads(pq.read_schema(path).metadata[b"ffpipe.provenance"])
    if suffix == ".json":
        return json.loads(path.read_text())["provenance"]
    if suffix in (".csv", ".jsonl"):
        return json.loads(path.with_name(f"{path.name}.provenance.json").read_text())
    if suffix == ".png":
        return json.loads(Image.open(path).text["ffpipe.provenance"])
    text = path.read_text()
    if suffix == ".md":
        return json.loads(text.split("## Provenance\n\n```json\n")[1].split("\n```")[0])
    if suffix == ".svg":
        return json.loads(unescape(re.search(r"<dc:description>(.*?)</dc:description>", text, re.S)[1]))
    lines = re.findall(r"^% ffpipe\.provenance (\w+): (.*)$", text, re.M)
    return {name: json.loads(value) for name, value in lines}


def assert_complete(path: Path, weights: bool = False) -> dict[str, Any]:
    told = provenance_in(path)
    assert told.keys() >= NEEDED, (path, NEEDED - told.keys())
    assert told["ffpipe"] and told["configuration"] and told["configuration_hash"] and told["device"], path
    assert told["libraries"]["torch"] and told["ffmpeg"]["libavcodec"] and told["command"], path
    assert told["calibration"] is None
    assert told["started"] <= told["finished"], path
    assert all(told[name].endswith("+00:00") for name in ("started", "finished")), path
    assert bool(told["weights_sha256"]) == weights, path
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in told["weights_sha256"])
    return told
