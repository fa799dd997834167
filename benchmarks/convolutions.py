"""Three ways to convolve M nets at once on a CPU, forward and backward, on one thread.

`grouped` is one grouped convolution over M x channels in PyTorch's default memory format.
`channels-last` is the same in channels-last memory, as `networks.stack` does it. `patches` uses
patches (im2col) and one batched product. The three take turns. Times are medians of `--rounds`.

    python benchmarks/convolutions.py

It prints milliseconds per net, and how much slower than channels-last the others are.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

# (batch, channels in, channels out, kernel, side), of demo, nws-small and nws-fixed nets
SHAPES = [
    (16, 4, 8, 5, 6),
    (64, 4, 8, 3, 6),
    (64, 8, 16, 5, 8),
    (64, 16, 32, 5, 4),
    (64, 8, 16, 5, 16),
]
STACKS = (1, 4, 16)


class Patches(torch.autograd.Function):
    """x [M, B, H, W, C], w [M, k * k * C, O] -> [M, B, H, W, O] by patches and a product."""

    @staticmethod
    def unfold(x: Tensor, kernel: int) -> Tensor:
        nets, batch, rows, columns, channels = x.shape
        p = kernel // 2
        padded = F.pad(x, (0, 0, p, p, p, p))
        s = padded.stride()
        shape = (nets, batch, rows, columns, kernel, kernel * channels)
        view = padded.as_strided(shape, (s[0], s[1], s[2], s[3], s[2], s[4]))
        return view.reshape(nets, batch * rows * columns, kernel * kernel * channels)

    @staticmethod
    def forward(ctx, x: Tensor, w: Tensor, kernel: int) -> Tensor:
        columns = Patches.unfold(x, kernel)
        ctx.save_for_backward(columns, w)
        ctx.kernel, ctx.shape = kernel, x.shape
        return torch.bmm(columns, w).view(*x.shape[:4], -1)

    @staticmethod
    def backward(ctx, g: Tensor) -> tuple[Tensor, Tensor, None]:
        columns, w = ctx.saved_tensors
        nets, out, k, channels = len(w), g.shape[-1], ctx.kernel, ctx.shape[-1]
        gw = torch.bmm(columns.transpose(1, 2), g.reshape(nets, -1, out))
        turned = w.view(nets, k, k, channels, out).flip(1, 2).transpose(3, 4)
        gx = torch.bmm(Patches.unfold(g, k), turned.reshape(nets, k * k * out, channels))
        return gx.view(ctx.shape), gw, None


def steps(nets: int, shape: tuple[int, ...]) -> dict[str, Callable[[], object]]:
    """A forward and backward pass of each kind on the same sizes."""
    batch, channels, out, kernel, side = shape
    x, w = (
        torch.randn(batch, nets * channels, side, side),
        torch.randn(nets * out, channels, kernel, kernel),
    )

    def grouped(last: bool) -> Callable[[], object]:
        memory = torch.channels_last if last else torch.contiguous_format
        inputs = [t.clone(memory_format=memory).requires_grad_() for t in (x, w)]

        def step() -> object:
            y = F.conv2d(*inputs, padding=kernel // 2, groups=nets)
            return torch.autograd.grad(y, inputs, torch.ones_like(y))

        return step

    px = torch.randn(nets, batch, side, side, channels, requires_grad=True)
    pw = torch.randn(nets, kernel * kernel * channels, out, requires_grad=True)

    def patches() -> object:
        y = Patches.apply(px, pw, kernel)
        return torch.autograd.grad(y, (px, pw), torch.ones_like(y))

    return {"grouped": grouped(False), "channels-last": grouped(True), "patches": patches}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, 1 thread, medians of {rounds}; batch, in, out, kernel, side")
    for shape in SHAPES:
        for nets in STACKS:
            kinds = steps(nets, shape)
            times: dict[str, list[float]] = {name: [] for name in kinds}
            for _ in range(2 + rounds):
                for name, step in kinds.items():
                    start = time.perf_counter()
                    step()
                    times[name].append((time.perf_counter() - start) / nets * 1e3)
            ms = {name: statistics.median(found[2:]) for name, found in times.items()}
            base = ms["channels-last"]
            others = "  ".join(f"{n} x{ms[n] / base:.2f}" for n in ("grouped", "patches"))
            print(f"{shape!s:22} {nets:3} nets  channels-last {base:.3f} ms  {others}")


if __name__ == "__main__":
    main()
