"""Tables of older versions: hyper-parameters that they do not have."""

from __future__ import annotations

import pyarrow as pa

from weightspace.zoo.format import tables


def test_a_new_hyper_parameter_is_known_only_of_nets_of_which_all_else_is():
    """Nets that were trained elsewhere may lack any; then the default would be a guess."""
    table = pa.table({"net": ["a", "b"], "momentum": [0.95, 0.95], "ema": [0.0, None]})
    filled = tables._filled(table, pa.field("norm", pa.string()))
    assert filled.to_pylist() == ["batch", None]
