"""The sum that ablations fuse by."""

from __future__ import annotations

import numpy as np
from layer_reference import draw, n

from ffpipe.models.addition import Addition


def test_both_maps_are_added_position_by_position():
    spatial, frequency = draw(2, 5, 4, 6), draw(2, 5, 4, 6, seed=1)
    fusion = Addition()
    np.testing.assert_allclose(n(fusion(spatial, frequency)), n(spatial) + n(frequency), atol=1e-6)
    assert not fusion.state_dict()
