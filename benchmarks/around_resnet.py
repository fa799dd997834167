"""ResNet-8 of widths 16, 32 and 64 as a module of one's own, for `benchmarks/around.py`."""

from torch import nn
from tutorial_nets import Resnet


def build(recipe):
    return Resnet({"relu": nn.ReLU, "tanh": nn.Tanh}[recipe.activation])


def main():
    print(__doc__)
