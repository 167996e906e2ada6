from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from training_faces import MadeFaces

from ffpipe.pipeline.balance import (
    PseudoFakes,
    draws_in_words,
    draws_per_face,
    entries,
    parts_of_epoch,
)
from ffpipe.pipeline.faces import FaceTable, balancing_copies
from ffpipe.pipeline.sampler import Sampler


def _table() -> FaceTable:
    """4 faces of a real medium, 8 of a fake by `swap`, 12 by `warp`."""
    table = MadeFaces(media=3, frames=4).table
    methods = (None, "swap", "warp", "warp", "warp", "warp")
    labels = np.repeat(np.array([0, 1, 1, 1, 1, 1], np.int8), 4)
    medium = table.medium.copy()
    medium[4:12] = 1
    return replace(table, methods=methods, label=labels, medium=medium)


TABLE = _table()
ROWS = np.arange(len(TABLE))


def _drawn(balance, balanced=True, pseudo=None, rows=ROWS):
    return {p.name: p.draws for p in parts_of_epoch(TABLE, rows, balance, balanced, pseudo)}


def test_the_recipe_draws_the_rarer_class_a_whole_number_of_times():
    assert _drawn("recipe") == {"real": 20, "fake": 20}
    assert _drawn("recipe", balanced=False) == {"real": 4, "fake": 20}


@pytest.mark.parametrize(
    ("balance", "expected"),
    [
        ("none", {"real": 4, "fake": 20}),
        ("class", {"real": 20, "fake": 20}),
        ("method", {"real": 24, "swap": 12, "warp": 12}),
    ],
)
def test_what_is_drawn_equally_often(balance, expected):
    assert _drawn(balance) == expected


@pytest.mark.parametrize(
    ("balance", "share", "expected"),
    [
        ("recipe", 0.5, {"real": 20, "fake": 10, "self-blended": 10}),
        ("class", 0.25, {"real": 20, "fake": 15, "self-blended": 5}),
        ("method", 0.5, {"real": 24, "swap": 6, "warp": 6, "self-blended": 12}),
        ("none", 0.2, {"real": 4, "fake": 20, "self-blended": 5}),
        ("class", 1.0, {"real": 4, "self-blended": 4}),
        ("none", 1.0, {"real": 4, "self-blended": 4}),
    ],
)
def test_fakes_of_real_faces_take_their_share_of_the_fakes(balance, share, expected):
    assert _drawn(balance, pseudo=PseudoFakes(share)) == expected


@pytest.mark.parametrize("balance", ["recipe", "none", "class", "method"])
def test_real_faces_alone_are_drawn_once_each_way(balance):
    assert _drawn(balance, pseudo=PseudoFakes(), rows=np.arange(4)) == {"real": 4, "self-blended": 4}


def _sampler(parts, batch_size=5, world=1) -> Sampler:
    found = entries(parts)
    return Sampler(
        found.rows, TABLE.block[found.rows], found.copies, TABLE.block_bytes, batch_size, seed=3, world=world,
        part=found.part, extra=found.extra, blended=found.blended,
    )  # fmt: skip


@pytest.mark.parametrize("pseudo", [None, PseudoFakes(0.3)])
@pytest.mark.parametrize("balance", ["recipe", "none", "class", "method"])
def test_an_epoch_draws_each_part_as_often_as_planned_and_its_faces_as_evenly_as_can_be(balance, pseudo):
    parts = parts_of_epoch(TABLE, ROWS, balance, True, pseudo)
    sampler = _sampler(parts)
    assert sampler.draws == sum(part.draws for part in parts)
    for epoch in range(3):
        order = sampler.order(epoch)
        keys = list(zip(*(column.tolist() for column in order), strict=True))
        assert len(set(keys)) == len(keys) == sampler.draws
        for part in parts:
            mine = order.rows[np.isin(order.rows, part.rows) & (order.blended == part.blended)]
            times = np.bincount(mine, minlength=len(TABLE))[part.rows]
            assert times.sum() == part.draws
            assert times.max() - times.min() <= 1


def test_the_faces_drawn_once_more_are_others_in_every_epoch():
    sampler = _sampler(parts_of_epoch(TABLE, ROWS, "class", True, PseudoFakes(0.5)))
    fakes = {
        tuple(sorted(row for row in sampler.order(epoch).rows.tolist() if TABLE.label[row]))
        for epoch in range(6)
    }
    assert len(fakes) == 6


@pytest.mark.parametrize("balance", ["recipe", "none", "class", "method"])
@pytest.mark.parametrize("world", [1, 2])
def test_an_order_made_anew_gives_the_same_batches_from_any_step_on(balance, world):
    parts = parts_of_epoch(TABLE, ROWS, balance, True, PseudoFakes(0.5))
    first, again = _sampler(parts, world=world), _sampler(parts, world=world)
    whole, rest = first.order(4), again.order(4)
    for step in range(first.steps):
        for rank in range(world):
            for one, other in zip(first.batch(whole, step, rank), again.batch(rest, step, rank), strict=True):
                assert np.array_equal(one, other)


def test_the_rule_of_the_recipe_keeps_the_order_that_it_had_without_parts():
    copies = balancing_copies(TABLE.label)
    plain = Sampler(
        ROWS, TABLE.block, np.array([copies[int(label)] for label in TABLE.label]), TABLE.block_bytes, 5, 3
    )
    sampler = _sampler(parts_of_epoch(TABLE, ROWS, "recipe", True, None))
    for epoch in range(3):
        for one, other in zip(plain.order(epoch), sampler.order(epoch), strict=True):
            assert np.array_equal(one, other)


def test_draws_are_told_in_words_and_numbers():
    recipe = parts_of_epoch(TABLE, ROWS, "recipe", True, None)
    assert draws_in_words(recipe) == " (real ones drawn 5 times an epoch)"
    assert draws_per_face(recipe) == {"real": 5, "fake": 1}
    assert draws_in_words(parts_of_epoch(TABLE, ROWS, "none", True, None)) == ""
    mixed = parts_of_epoch(TABLE, ROWS, "class", True, PseudoFakes(0.5))
    assert draws_in_words(mixed) == " (an epoch draws 20 real, 10 fake, 10 self-blended)"
    assert draws_per_face(mixed) == {"real": 5, "fake": 0.5}
