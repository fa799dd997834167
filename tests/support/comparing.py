"""Two zoos that must be the same to whoever reads them."""

from __future__ import annotations

import numpy as np
from polars.testing import assert_frame_equal


def expect_equal(there, here):
    assert there.meta == here.meta
    assert_frame_equal(there.nets, here.nets)
    assert_frame_equal(there.snapshots, here.snapshots)
    for part, running_stats in (("all", True), ("conv", False)):
        options = {"part": part, "running_stats": running_stats, "seed": 5}
        a, b = (zoo.slices(300, 300, **options) for zoo in (there, here))
        np.testing.assert_array_equal(a.values, b.values)
        assert a.net.tolist() == b.net.tolist()
    net = here.nets["net"][3]
    np.testing.assert_array_equal(there.vector(net, 2), here.vector(net, 2))
    assert not there.vector(net).flags.writeable
    (one,) = there.vectors([net], snapshots=(1, -1))
    np.testing.assert_array_equal(one.values[1], here.vector(net))
