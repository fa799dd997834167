"""The cost and the receptive field of a network, computed from its architecture."""

from __future__ import annotations

from weightspace.learners.neural.architectures import Architecture


def multiply_adds(architecture: Architecture, length: int, classes: int) -> int:
    """Count the multiply-adds of one slice's forward pass, without norms and activations.

    Parameters
    ----------
    architecture : Architecture
        The layers.
    length : int
        Values of a slice.
    classes : int
        The number of classes.

    Returns
    -------
    int

    Examples
    --------
    >>> from weightspace.learners.neural.architectures import paper
    >>> round(multiply_adds(paper(5000), 5000, 10) / 1e6)
    371
    """
    total, channels, places = 0, 1, length
    for stage in architecture.stages:
        places = -(-places // stage.stride)
        if stage.separable:
            total += places * channels * (stage.taps + stage.channels)
        else:
            total += places * channels * stage.taps * stage.channels
        channels = stage.channels
        if stage.pool and places > 1:
            places //= 2
    width = channels * places
    for out in (*architecture.dense, classes):
        total, width = total + width * out, out
    return total


def receptive_field(architecture: Architecture) -> int:
    """Count the values of a slice on which one output of the last convolution depends.

    Parameters
    ----------
    architecture : Architecture
        The layers.

    Returns
    -------
    int

    Examples
    --------
    >>> from weightspace.learners.neural.architectures import PATCHES
    >>> receptive_field(PATCHES)
    2348
    """
    field, jump = 1, 1
    for stage in architecture.stages:
        field += (stage.taps - 1) * jump
        jump *= stage.stride
        if stage.pool:
            field, jump = field + jump, 2 * jump
    return field
