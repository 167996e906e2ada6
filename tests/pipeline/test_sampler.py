from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffpipe.pipeline.sampler import Sampler


@st.composite
def samplers(draw) -> Sampler:
    count = draw(st.integers(2, 60))
    blocks = np.sort(draw(st.lists(st.integers(0, 7), min_size=count, max_size=count)))
    copies = draw(st.lists(st.integers(1, 4), min_size=count, max_size=count))
    return Sampler(
        rows=np.arange(count) * 3 + 1,
        blocks=blocks.astype(np.int32),
        copies=np.array(copies),
        block_bytes=np.array(draw(st.lists(st.integers(1, 100), min_size=8, max_size=8))),
        batch_size=draw(st.integers(2, 9)),
        seed=draw(st.integers(0, 2**31)),
        pool_bytes=draw(st.integers(1, 500)),
        world=draw(st.integers(1, 3)),
    )


def _taken(sampler: Sampler, epoch: int) -> list[tuple[int, int]]:
    order = sampler.order(epoch)
    steps = [
        sampler.batch(order, step, rank) for step in range(sampler.steps) for rank in range(sampler.world)
    ]
    return [pair for draws in steps for pair in zip(draws.rows.tolist(), draws.copies.tolist(), strict=True)]


@given(samplers(), st.integers(0, 50))
def test_each_copy_of_each_face_is_drawn_once_an_epoch(sampler, epoch):
    taken = _taken(sampler, epoch)
    wanted = {
        (row, copy)
        for row, n in zip(sampler.rows.tolist(), sampler.copies.tolist(), strict=True)
        for copy in range(n)
    }
    assert max(Counter(taken).values(), default=0) <= 1
    assert set(taken) <= wanted
    left_over = len(wanted) - len(taken)
    assert left_over <= (sampler.world - 1) * sampler.batch_size + sampler.world
    if sampler.world == 1:
        assert left_over == 0


@given(samplers(), st.integers(0, 50))
def test_no_batch_has_a_single_face(sampler, epoch):
    order = sampler.order(epoch)
    sizes = [len(sampler.batch(order, s, r).rows) for s in range(sampler.steps) for r in range(sampler.world)]
    assert all(2 <= size <= sampler.batch_size + 1 for size in sizes)


@given(samplers())
def test_the_order_depends_on_seed_and_epoch_alone(sampler):
    first, again = sampler.order(4), sampler.order(4)
    assert np.array_equal(first.rows, again.rows)
    assert np.array_equal(first.copies, again.copies)


def test_epochs_and_seeds_give_other_orders():
    def order(seed: int, epoch: int) -> list[int]:
        rows = np.arange(50)
        ones = np.ones(50, np.int64)
        return Sampler(rows, np.zeros(50, np.int32), ones, ones, 5, seed).order(epoch).rows.tolist()

    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


@given(samplers(), st.integers(0, 5))
def test_blocks_in_use_at_a_time_stay_within_the_pool(sampler, epoch):
    order = sampler.order(epoch)
    block_of = dict(zip(sampler.rows.tolist(), sampler.blocks.tolist(), strict=True))
    last, first = {}, {}
    for place, (row, copy) in enumerate(zip(order.rows.tolist(), order.copies.tolist(), strict=True)):
        unit = (block_of[row], copy)
        first.setdefault(unit, place)
        last[unit] = place
    largest = int(sampler.block_bytes.max())
    for place in range(len(order.rows)):
        open_units = [unit for unit in first if first[unit] <= place <= last[unit]]
        assert sum(int(sampler.block_bytes[b]) for b, _ in open_units) <= sampler.pool_bytes + largest


def test_a_step_past_the_end_is_an_error():
    sampler = Sampler(np.arange(4), np.zeros(4, np.int32), np.ones(4, np.int64), np.ones(1, np.int64), 2, 0)
    with pytest.raises(IndexError):
        sampler.batch(sampler.order(0), 2)


def test_a_million_faces_are_ordered_in_bounded_memory():
    import tracemalloc

    rows = np.arange(1_000_000)
    sampler = Sampler(
        rows, (rows // 256).astype(np.int32), np.ones_like(rows), np.full(3907, 25 << 20), 20, 0, 1 << 30
    )
    tracemalloc.start()
    order = sampler.order(0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(order.rows) == 1_000_000
    assert peak < 400e6
