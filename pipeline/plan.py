"""From inputs to chunks: one item per content, stable chunks, and what a resumed run still has to do."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ffpipe.manifests.errors import StorageError
from ffpipe.manifests.records import Entry, Pictures, Status
from ffpipe.manifests.sealed import read_sealed, sealed
from ffpipe.manifests.shards import ShardGroup, chunk_id, write_atomic
from ffpipe.pipeline.engine import Chunk
from ffpipe.pipeline.hashing import Hashed

#: Bounds of a chunk: it is what a killed worker has to do again.
MAX_CHUNK_ITEMS = 32
MAX_CHUNK_BYTES = 64 << 20
#: Chunks per worker aimed at, so that workers finish at about the same time.
CHUNKS_PER_SLOT = 8

#: Begins the ids of chunks that hold inputs without content (missing, unreadable): each run plans those anew.
UNREAD = "unread-"


@dataclass(frozen=True, slots=True)
class Better:
    """A medium of the same clip at a better quality, and the committed chunk that holds it, where there is one."""

    media_id: str
    quality: str | None
    chunk: str | None = None


@dataclass(frozen=True, slots=True)
class MediumItem:
    """One content and every path that has it. Without content (`status` is set) there is one path.

    clip names what the item shows, where other items show the same at other qualities: they are worked on together,
    the best first. betters are those whose boxes it may be cut with, the best first.
    """

    media_id: str
    sha256: str
    bytes: int
    entries: tuple[Entry, ...]
    status: Status | None = None
    reason: str | None = None
    known: Any = None
    """A record of this content from an earlier run, whose facts new paths take over."""
    clip: str | None = None
    betters: tuple[Better, ...] = ()

    @property
    def identity(self) -> str:
        """What the item is, for chunk ids."""
        return " ".join([self.media_id, *(json.dumps(entry.path) for entry in self.entries)])

    @property
    def opened(self) -> str | Pictures:
        """What is decoded, a file or a sequence of them, absolute because workers may stand in another folder."""
        first = self.entries[0]
        if first.pictures is not None:
            place = os.path.abspath(first.pictures.place)  # noqa: PTH100
            return replace(first.pictures, place=place, sha256=self.sha256)
        return os.path.abspath(first.path)  # noqa: PTH100 - keeps undecodable names and symlinks

    @property
    def fault(self) -> str | None:
        """What of a sequence of pictures is lost."""
        pictures = self.entries[0].pictures
        return None if pictures is None else pictures.fault


def media_id(sha256: str) -> str:
    """Identity of a content: the first 16 bytes of its SHA-256, hex."""
    return sha256[:32]


def items_from(entries: Sequence[Entry], hashes: Iterable[Hashed]) -> list[MediumItem]:
    """One item per content, in order of first appearance; inputs without content get an item each."""
    items: dict[str, MediumItem] = {}
    copies: dict[str, list[Entry]] = {}
    for entry, hashed in zip(entries, hashes, strict=True):
        if hashed.status is not None:
            # Without content the path is all there is to tell inputs apart.
            name = hashlib.sha256(b"unread\0" + os.fsencode(entry.path)).hexdigest()
            items[name] = MediumItem(media_id(name), "", 0, (entry,), hashed.status, hashed.reason)
        elif hashed.sha256 in items:
            # Gathered first: a flood of copies, such as empty files, must not cost its square.
            copies.setdefault(hashed.sha256, []).append(entry)
        else:
            items[hashed.sha256] = MediumItem(media_id(hashed.sha256), hashed.sha256, hashed.bytes, (entry,))
    for digest, entries_of in copies.items():
        items[digest] = replace(items[digest], entries=(*items[digest].entries, *entries_of))
    return list(items.values())


def finished(group: ShardGroup) -> set[tuple[str, str]]:
    """(media_id, path) of every input that a commit of this folder accounts for."""
    return {(i["media_id"], i["path"]) for commit in group.commits() for i in commit.inputs}


def is_own(account: Mapping[str, Any]) -> bool:
    """Whether a commit's account is of a content itself, and not of a path that came later with what was known of it.

    Accounts of older versions do not say; a sound content without faces of its own was known before.
    """
    known = account["status"] == Status.OK.value and not account.get("faces")
    return not account.get("copy", known)


def made(group: ShardGroup) -> set[str]:
    """Contents whose own results a commit of this folder holds."""
    return {i["media_id"] for commit in group.commits() for i in commit.inputs if is_own(i)}


def remaining(items: Sequence[MediumItem], done: Collection[tuple[str, str]]) -> list[MediumItem]:
    """The items with the paths that are not done yet."""
    left = []
    for item in items:
        entries = tuple(e for e in item.entries if (item.media_id, e.path) not in done)
        if entries:
            left.append(replace(item, entries=entries))
    return left


def single(item: MediumItem) -> Chunk:
    """A chunk of one item."""
    return _chunk([item])


def _chunk(items: Sequence[MediumItem]) -> Chunk:
    name = chunk_id([item.identity for item in items])
    prefix = UNREAD if items[0].status is not None else ""
    return Chunk(prefix + name, tuple(items), float(sum(item.bytes for item in items)))


def chunks_for(items: Sequence[MediumItem], slots: int) -> list[Chunk]:
    """Cut items into chunks in their order, bounded in items and bytes; inputs without content apart.

    Items of one clip follow one another and stay together, also where that breaks the bounds.
    """
    size = min(MAX_CHUNK_ITEMS, max(1, -(-len(items) // (slots * CHUNKS_PER_SLOT))))
    chunks: list[Chunk] = []
    current: list[MediumItem] = []
    for clip in _clips(items):
        full = len(current) + len(clip) > size or _bytes(current) + _bytes(clip) > MAX_CHUNK_BYTES
        apart = bool(current) and (current[0].status is None) != (clip[0].status is None)
        if current and (full or apart):
            chunks.append(_chunk(current))
            current = []
        current += clip
    return [*chunks, _chunk(current)] if current else chunks


def _clips(items: Sequence[MediumItem]) -> list[list[MediumItem]]:
    """Runs of items of the same clip; an item without one is a run of its own."""
    runs: list[list[MediumItem]] = []
    for item in items:
        if runs and item.clip is not None and runs[-1][0].clip == item.clip:
            runs[-1].append(item)
        else:
            runs.append([item])
    return runs


def _bytes(items: Sequence[MediumItem]) -> int:
    return sum(item.bytes for item in items)


def revoke_failed(group: ShardGroup, statuses: Collection[Status]) -> int:
    """Take back the chunks that hold an input of these statuses, so that they are done again; the caller has the lock.

    Returns the number of such inputs. Those without content are planned anew by each run, and not counted.
    """
    failed = 0
    for commit in group.commits():
        found = sum(Status(i["status"]) in statuses for i in commit.inputs)
        if found and not commit.chunk.startswith(UNREAD):
            group.revoke(commit.chunk)
            failed += found
    return failed


def plan(group: ShardGroup, items: Sequence[MediumItem], slots: int) -> list[Chunk]:
    """The chunks still to do, keeping those of an interrupted plan; the caller holds the lock.

    Chunks of an earlier plan keep their ids, so that a worker that outlived its driver can only commit a chunk
    that this plan holds too, never an input a second time.
    """
    for commit in group.commits():
        if commit.chunk.startswith(UNREAD):
            group.revoke(commit.chunk)
    group.sweep()
    left = {item.identity: item for item in remaining(items, finished(group))}
    sizes = Counter(item.clip for item in left.values() if item.clip is not None)
    kept = [
        _chunk([left.pop(identity) for identity in identities])
        for identities in _stored_plan(group.root)
        if identities
        and all(identity in left for identity in identities)
        and _holds_whole_clips([left[identity] for identity in identities], sizes)
    ]
    chunks = kept + chunks_for(list(left.values()), slots)
    content = {"chunks": [[item.identity for item in chunk.items] for chunk in chunks]}
    write_atomic(group.root / "plan.json", sealed(content))
    return chunks


def _holds_whole_clips(items: Sequence[MediumItem], sizes: Counter[str]) -> bool:
    """Whether nothing of a clip is left outside, and none stands before the items whose boxes it may take."""
    own = Counter(item.clip for item in items if item.clip is not None)
    if any(sizes[clip] != count for clip, count in own.items()):
        return False
    places = {item.media_id: place for place, item in enumerate(items)}
    return all(
        places.get(better.media_id, -1) < place for place, item in enumerate(items) for better in item.betters
    )


def _stored_plan(root: Path) -> list[list[str]]:
    path = root / "plan.json"
    if not path.exists():
        return []
    try:
        return [list(map(str, chunk)) for chunk in read_sealed(path)["chunks"]]
    except (StorageError, KeyError, TypeError) as error:
        raise StorageError(f"{path}: damaged; delete it to plan anew ({error})") from error


def exit_code(counts: Counter[str]) -> int:
    """0 where no input failed, 3 where some did, 4 where all did."""
    failed = sum(count for status, count in counts.items() if Status(status).failed)
    if not failed:
        return 0
    return 4 if failed == counts.total() else 3
