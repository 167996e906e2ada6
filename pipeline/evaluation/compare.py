"""The compare job: runs measured on the same media, each against the first, by a paired test over source groups.

What is not evaluated yet is; finished evaluations of the same data and choice of media are taken as they are.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from ffpipe.manifests.errors import UsageError
from ffpipe.pipeline import log, provenance
from ffpipe.pipeline.config import CompareConfig
from ffpipe.pipeline.evaluation.finished import Finished, find_finished, load_finished
from ffpipe.pipeline.evaluation.job import evaluate
from ffpipe.pipeline.evaluation.parts import RESULT, new_folder
from ffpipe.pipeline.output import Advance, Say
from ffpipe.pipeline.stored_media import data_digest
from ffpipe.pipeline.weights import find_run
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.evaluation import ALL, AT_THRESHOLD, FIGURES, Figure, above
from ffpipe.stages.paired import Difference, Model, delong, holm, paired

#: Folder of the workspace with one folder a comparison.
COMPARISONS = "comparisons"


@dataclass(frozen=True, slots=True)
class Pair:
    """A figure of two runs on the same items of a level: `difference` is second minus first.

    p: two-sided, of the paired bootstrap over source groups; p_holm: corrected for all runs that were compared with the
    first by this figure. p_delong: of AUC, items being taken for independent. reason: why something is missing.
    """

    level: str
    name: str
    figure: str
    first: str
    second: str
    first_value: float | None
    second_value: float | None
    difference: Figure
    p: float | None
    p_holm: float | None
    p_delong: float | None
    n_real: int
    n_fake: int
    groups: int
    reason: str | None = None

    def flat(self) -> dict[str, Any]:
        """The pair with a column a number."""
        cells = asdict(self)
        difference = cells.pop("difference")
        cells["set"] = cells.pop("name")
        return cells | {
            "difference": difference["value"],
            "difference_low": difference["low"],
            "difference_high": difference["high"],
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """A finished comparison: its pairs, what they rest on, and the folder with its files."""

    directory: Path
    pairs: list[Pair]
    facts: dict[str, Any]

    def to_json(self) -> str:
        """All of it as JSON."""
        return json.dumps({**self.facts, "pairs": [asdict(pair) for pair in self.pairs]}, indent=1)


def compare(
    runs: Sequence[str], config: CompareConfig, workspace: Workspace, say: Say, advance: Advance | None = None
) -> Comparison:
    """Compare two or more runs, or folders of their evaluations, on a dataset's split; the first is the measure.

    Raises UsageError (fewer than two, evaluations of different data or choices of media, nothing in common), and as
    `evaluate`.
    """
    from ffpipe.pipeline.evaluation.comparison_files import COMPARISON, write_files

    if len(runs) < 2:
        raise UsageError(f"compare takes two runs or more, not {len(runs)}")
    began = provenance.now()
    done = _named([_finished(run, config, workspace, say, advance) for run in runs])
    _check_same(done)
    levels = [level for level in done[0].levels if all(level in other.levels for other in done)]
    items, pairing = {}, {}
    for level in levels:
        items[level], pairing[level] = _common(done, level)
    for level in levels:
        say(f"{level}s: {pairing[level]['line']}")
    pairs = _pairs(done, items, config)
    facts = _facts(done, config, levels[0], pairing, began)
    facts["provenance"] = provenance.finish(facts["provenance"])
    folder = new_folder(workspace.root / COMPARISONS, f"{facts['data']}-{facts['split']}")
    result = Comparison(folder, pairs, facts)
    write_files(result, done, items[levels[0]])
    log.note(workspace, "compare", facts["provenance"], [folder / COMPARISON])
    say(f"comparison: {result.directory}")
    return result


def _finished(
    run: str, config: CompareConfig, workspace: Workspace, say: Say, advance: Advance | None
) -> Finished:
    if (Path(run) / RESULT).is_file():
        return load_finished(Path(run).absolute())
    directory = find_run(run, workspace)
    if config.data in workspace.datasets():
        found = find_finished(directory, config, data_digest([workspace.dataset(config.data)]))
        if found is not None:
            say(f"{found.name}: takes the finished evaluation {found.directory}")
            return found
    return load_finished(evaluate(str(directory), config, workspace, say, advance).directory)


def _named(done: Sequence[Finished]) -> list[Finished]:
    """The evaluations with names of their own: a run that stands twice is numbered."""
    names = [each.name for each in done]
    return [
        replace(each, name=f"{each.name} ({place})") if names.count(each.name) > 1 else each
        for place, each in enumerate(done, start=1)
    ]


def _check_same(done: Sequence[Finished]) -> None:
    first = done[0].of_media()
    for other in done[1:]:
        of = other.of_media()
        different = [key for key in sorted({*first, *of}) if first.get(key) != of.get(key)]
        if different:
            told = "; ".join(
                f"{key} {first.get(key)!r} in {done[0].name}, {of.get(key)!r} in {other.name}"
                for key in different
            )
            raise UsageError(f"these evaluations are not of the same media: {told}")


def _common(done: Sequence[Finished], level: str) -> tuple[list[pd.DataFrame], dict[str, Any]]:
    """The items of a level that every run scored, in one order, and the pairing in numbers and words."""
    tables = [each.items(level) for each in done]
    keys = sorted(set.intersection(*(set(table.index) for table in tables)))
    if not keys:
        raise UsageError(f"the runs have no {level} in common that each of them scored")
    left_out = {each.name: len(table) - len(keys) for each, table in zip(done, tables, strict=True)}
    common = [table.loc[keys] for table in tables]
    if any((table["label"] != common[0]["label"]).any() for table in common[1:]):
        raise UsageError(f"the evaluations give some {level} different labels")
    groups = common[0]["group"].nunique()
    line = f"{len(keys)} that every run scored, paired by content, in {groups} source groups"
    missing = [f"{count} of {name}" for name, count in left_out.items() if count]
    line += f"; left out, as some run has no score: {', '.join(missing)}" if missing else "; none left out"
    return common, {"paired": len(keys), "groups": groups, "left_out": left_out, "line": line}


def _pairs(
    done: Sequence[Finished], items: dict[str, list[pd.DataFrame]], config: CompareConfig
) -> list[Pair]:
    """Every run against the first: all items of each level, and at the headline's also each method."""
    pairs: list[Pair] = []
    for place, (level, tables) in enumerate(items.items()):
        pairs += _against_first(level, ALL, done, tables, config)
        for name, media in done[0].sets().items() if not place else ():
            inside = tables[0]["media_id"].isin(media).to_numpy()
            pairs += _against_first(level, name, done, [table[inside] for table in tables], config)
    return _corrected(pairs)


def _against_first(
    level: str, name: str, done: Sequence[Finished], tables: Sequence[pd.DataFrame], config: CompareConfig
) -> list[Pair]:
    labels = tables[0]["label"].to_numpy()
    groups = tables[0]["group"].tolist()
    n_fake = int((labels == 1).sum())
    found = []
    for other, table in zip(done[1:], tables[1:], strict=True):
        scores = tables[0]["score"].to_numpy(), table["score"].to_numpy()
        bars = [each.facts.get("threshold") for each in (done[0], other)]
        thresholds = [None if bar is None else above(bar) for bar in bars]
        for figure, difference in _differences(labels, scores, thresholds, groups, config).items():
            found.append(
                Pair(
                    level,
                    name,
                    figure,
                    done[0].name,
                    other.name,
                    difference.first,
                    difference.second,
                    Figure(difference.value, difference.interval.low, difference.interval.high),
                    difference.p,
                    None,
                    delong(labels, *scores) if figure == "auc" else None,
                    len(labels) - n_fake,
                    n_fake,
                    len(set(groups)),
                    difference.interval.reason,
                )
            )
    return found


def _differences(
    labels: Any,
    scores: tuple[Any, Any],
    thresholds: Sequence[float | None],
    groups: Sequence[str],
    config: CompareConfig,
) -> dict[str, Difference]:
    def found(models: tuple[Model, Model], names: Sequence[str]) -> dict[str, Difference]:
        return paired(labels, models, groups, names, replicates=config.replicates, seed=config.seed)

    plain = [figure for figure in FIGURES if figure != AT_THRESHOLD]
    differences = found((Model(scores[0]), Model(scores[1])), plain)
    first, second = thresholds
    if first is not None and second is not None:
        at = found((Model(scores[0], first), Model(scores[1], second)), ["accuracy"])
        differences[AT_THRESHOLD] = at["accuracy"]
    return {figure: differences[figure] for figure in FIGURES if figure in differences}


def _corrected(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs with Holm's correction over the runs that were compared by the same figure of the same items."""
    families: defaultdict[tuple[str, str, str], dict[str, float]] = defaultdict(dict)
    for pair in pairs:
        if pair.p is not None:
            families[pair.level, pair.name, pair.figure][pair.second] = pair.p
    corrected = {family: holm(found) for family, found in families.items()}
    return [
        replace(pair, p_holm=corrected.get((pair.level, pair.name, pair.figure), {}).get(pair.second))
        for pair in pairs
    ]


def _facts(
    done: Sequence[Finished], config: CompareConfig, headline: str, pairing: dict[str, Any], began: str
) -> dict[str, Any]:
    return {
        # Folders of evaluations may be of other data than the settings name.
        "data": done[0].facts["data"],
        "split": done[0].facts["split"],
        "data_digest": done[0].facts["data_digest"],
        "headline": headline,
        "runs": [
            {
                "name": each.name,
                "run": each.facts["run"],
                "model_id": each.facts["model_id"],
                "evaluation": str(each.directory),
                "threshold": each.facts.get("threshold"),
                "opening": each.facts.get("opening"),
            }
            for each in done
        ],
        "pairing": pairing,
        "provenance": provenance.collect(
            config,
            weights=[each.facts["model_id"] for each in done],
            models=[each.facts["model_id"] for each in done],
            seed=config.seed,
            started=began,
        ),
    }
