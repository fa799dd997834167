"""What a network costs and sees, counted from its architecture."""

from __future__ import annotations

from weightspace.learners.neural.architectures import Architecture


def multiply_adds(architecture: Architecture, length: int, classes: int) -> int:
    """Multiply-adds of one slice's forward pass, norms and activations left out."""
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
    """Values of the slice that one place of the last convolution's output depends on."""
    field, jump = 1, 1
    for stage in architecture.stages:
        field += (stage.taps - 1) * jump
        jump *= stage.stride
        if stage.pool:
            field, jump = field + jump, 2 * jump
    return field
