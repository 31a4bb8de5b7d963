"""The arena: what lives together never shares bytes, and a chain needs no more than its largest neighbours."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arithmos.targets.arena import Life, offsets

lives = st.lists(
    st.builds(
        lambda size, first, span: Life(size, first, first + span),
        st.integers(0, 99),
        st.integers(0, 9),
        st.integers(0, 4),
    ),
    max_size=12,
)


@given(lives, st.sampled_from([1, 8, 64]))
def test_pieces_that_live_together_never_overlap(pieces: list[Life], alignment: int) -> None:
    starts, total = offsets(pieces, alignment)
    for (a, start_a), (b, start_b) in itertools.combinations(zip(pieces, starts, strict=True), 2):
        if a.first <= b.last and b.first <= a.last and a.nbytes and b.nbytes:
            assert start_a + a.nbytes <= start_b or start_b + b.nbytes <= start_a
    placed = zip(pieces, starts, strict=True)
    assert all(start % alignment == 0 and start + piece.nbytes <= total for piece, start in placed)
    assert total % alignment == 0


@pytest.mark.parametrize("alignment", [8, 64])
def test_a_chain_of_layers_needs_its_two_largest_neighbours(alignment: int) -> None:
    sizes = [64, 512, 256, 128, 64]
    chain = [Life(size, i, i + 1) for i, size in enumerate(sizes)]
    assert offsets(chain, alignment)[1] == 512 + 256


def test_nothing_needs_no_memory() -> None:
    assert offsets([], 64) == ([], 0)
