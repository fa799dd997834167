"""Nets as people define them, each with the order of its layers as it computes.

A net here is a list of rows, in the order of the computation: the name of a kernel, and the names
of the norms that belong to it.
"""

from __future__ import annotations

from torch import nn

from weightspace.networks.roles import Arrangement, Entry

Truth = list[tuple[str, tuple[str, ...]]]


def entries_of(net: nn.Module) -> list[Entry]:
    return [
        Entry(name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        for name, tensor in net.state_dict().items()
    ]


def found(arrangement: Arrangement) -> Truth:
    """The layers in order, each with its norms in the order of the vector."""
    rows: list[tuple[str, list[str]]] = []
    for placed in arrangement.placed:
        module = placed.entry.module
        if placed.role == "weight":
            rows.append((module, []))
        elif placed.role != "bias" and module not in rows[-1][1]:
            rows[-1][1].append(module)
    return [(name, tuple(norms)) for name, norms in rows]


class Net(nn.Module):
    """Modules by their names, registered in the given order; forward is not needed."""

    def __init__(self, **modules: nn.Module) -> None:
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)


def conv(takes: int, gives: int, kernel: int = 3, groups: int = 1, bias: bool = False) -> nn.Module:
    return nn.Conv2d(takes, gives, kernel, groups=groups, bias=bias)


def basic_block(takes: int, gives: int, shortcut: str) -> nn.Module:
    parts: dict[str, nn.Module] = {
        "conv1": conv(takes, gives), "bn1": nn.BatchNorm2d(gives),
        "conv2": conv(gives, gives), "bn2": nn.BatchNorm2d(gives),
    }  # fmt: skip
    if takes != gives:
        parts[shortcut] = nn.Sequential(conv(takes, gives, 1), nn.BatchNorm2d(gives))
    return Net(**parts)


def resnet(
    blocks: int, widths: tuple[int, ...], shortcut: str, head: str
) -> tuple[nn.Module, Truth]:
    parts: dict[str, nn.Module] = {"conv1": conv(3, widths[0]), "bn1": nn.BatchNorm2d(widths[0])}
    truth: Truth = [("conv1", ("bn1",))]
    takes = widths[0]
    for number, gives in enumerate(widths, 1):
        layer: list[nn.Module] = []
        for index in range(blocks):
            layer.append(basic_block(takes, gives, shortcut))
            at = f"layer{number}.{index}"
            truth += [(f"{at}.conv1", (f"{at}.bn1",)), (f"{at}.conv2", (f"{at}.bn2",))]
            if takes != gives:
                truth.append((f"{at}.{shortcut}.0", (f"{at}.{shortcut}.1",)))
            takes = gives
        parts[f"layer{number}"] = nn.Sequential(*layer)
    parts[head] = nn.Linear(takes, 10)
    return Net(**parts), [*truth, (head, ())]


def preactivation() -> tuple[nn.Module, Truth]:
    """As in kuangliu's PreActResNet: every norm comes before the convolution of its number."""
    truth: Truth = [("conv1", ())]
    parts: dict[str, nn.Module] = {"conv1": conv(3, 8)}
    takes = 8
    for number, gives in enumerate((8, 16, 32), 1):
        layer: list[nn.Module] = []
        for index in range(2):
            block: dict[str, nn.Module] = {
                "bn1": nn.BatchNorm2d(takes), "conv1": conv(takes, gives),
                "bn2": nn.BatchNorm2d(gives), "conv2": conv(gives, gives),
            }  # fmt: skip
            at = f"layer{number}.{index}"
            truth += [(f"{at}.conv1", (f"{at}.bn1",)), (f"{at}.conv2", (f"{at}.bn2",))]
            if takes != gives:
                block["shortcut"] = nn.Sequential(conv(takes, gives, 1))
                truth.append((f"{at}.shortcut.0", ()))
            layer.append(Net(**block))
            takes = gives
        parts[f"layer{number}"] = nn.Sequential(*layer)
    parts |= {"bn": nn.BatchNorm2d(32), "linear": nn.Linear(32, 10)}
    truth[-1] = (truth[-1][0], (*truth[-1][1], "bn"))
    return Net(**parts), [*truth, ("linear", ())]


def wide_resnet() -> tuple[nn.Module, Truth]:
    """Norms come before convolutions, and the last one, bn1, has the number of the first."""
    parts: dict[str, nn.Module] = {"conv1": conv(3, 16)}
    truth: Truth = [("conv1", ())]
    takes = 16
    for number, gives in enumerate((32, 64), 1):
        layer: list[nn.Module] = []
        for index in range(2):
            block: dict[str, nn.Module] = {
                "bn1": nn.BatchNorm2d(takes), "conv1": conv(takes, gives),
                "bn2": nn.BatchNorm2d(gives), "conv2": conv(gives, gives),
            }  # fmt: skip
            at = f"block{number}.layer.{index}"
            truth += [(f"{at}.conv1", (f"{at}.bn1",)), (f"{at}.conv2", (f"{at}.bn2",))]
            if takes != gives:
                block["convShortcut"] = conv(takes, gives, 1)
                truth.append((f"{at}.convShortcut", ()))
            layer.append(Net(**block))
            takes = gives
        parts[f"block{number}"] = Net(layer=nn.Sequential(*layer))
    parts |= {"bn1": nn.BatchNorm2d(64), "fc": nn.Linear(64, 10)}
    truth[-1] = (truth[-1][0], (*truth[-1][1], "bn1"))
    return Net(**parts), [*truth, ("fc", ())]


def densenet() -> tuple[nn.Module, Truth]:
    """As in torchvision: layers of a block get all that those before them gave."""
    growth, width = 4, 8
    parts: dict[str, nn.Module] = {"conv0": conv(3, width), "norm0": nn.BatchNorm2d(width)}
    truth: Truth = [("features.conv0", ("features.norm0",))]
    for number in (1, 2, 3):
        block: dict[str, nn.Module] = {}
        for index in (1, 2, 3):
            block[f"denselayer{index}"] = Net(
                norm1=nn.BatchNorm2d(width), conv1=conv(width, 4 * growth, 1),
                norm2=nn.BatchNorm2d(4 * growth), conv2=conv(4 * growth, growth),
            )  # fmt: skip
            at = f"features.denseblock{number}.denselayer{index}"
            truth += [(f"{at}.conv1", (f"{at}.norm1",)), (f"{at}.conv2", (f"{at}.norm2",))]
            width += growth
        parts[f"denseblock{number}"] = Net(**block)
        if number < 3:
            parts[f"transition{number}"] = Net(
                norm=nn.BatchNorm2d(width), conv=conv(width, width // 2, 1)
            )
            at = f"features.transition{number}"
            truth.append((f"{at}.conv", (f"{at}.norm",)))
            width //= 2
    parts["norm5"] = nn.BatchNorm2d(width)
    truth.append(("classifier", ("features.norm5",)))
    return Net(features=Net(**parts), classifier=nn.Linear(width, 10)), truth


def mobilenet() -> tuple[nn.Module, Truth]:
    """Depthwise convolutions, as in torchvision's MobileNetV2."""

    def conv_norm(takes: int, gives: int, kernel: int, groups: int = 1) -> nn.Sequential:
        return nn.Sequential(conv(takes, gives, kernel, groups), nn.BatchNorm2d(gives), nn.ReLU6())

    features: list[nn.Module] = [conv_norm(3, 8, 3)]
    truth: Truth = [("features.0.0", ("features.0.1",))]
    takes = 8
    for index, gives in enumerate((16, 16, 24), 1):
        wide = 6 * takes
        inner = nn.Sequential(
            conv_norm(takes, wide, 1), conv_norm(wide, wide, 3, wide),
            conv(wide, gives, 1), nn.BatchNorm2d(gives),
        )  # fmt: skip
        features.append(Net(conv=inner))
        at = f"features.{index}.conv"
        truth += [(f"{at}.{k}.0", (f"{at}.{k}.1",)) for k in (0, 1)]
        truth.append((f"{at}.2", (f"{at}.3",)))
        takes = gives
    head = nn.Sequential(nn.Dropout(), nn.Linear(takes, 10))
    return Net(features=nn.Sequential(*features), classifier=head), [*truth, ("classifier.1", ())]


def vgg() -> tuple[nn.Module, Truth]:
    modules: list[nn.Module] = []
    truth: Truth = []
    takes = 3
    for gives in (8, 8, 16, 16, 32, 32):
        at = len(modules)
        modules += [conv(takes, gives, bias=True), nn.BatchNorm2d(gives), nn.ReLU()]
        truth.append((f"features.{at}", (f"features.{at + 1}",)))
        takes = gives
    head = nn.Sequential(nn.Linear(32 * 49, 64), nn.ReLU(), nn.Dropout(), nn.Linear(64, 10))
    truth += [("classifier.0", ()), ("classifier.3", ())]
    return Net(features=nn.Sequential(*modules), classifier=head), truth


def norms_last() -> tuple[nn.Module, Truth]:
    """All convolutions, then all dense layers, then all norms; widths that dense layers share."""
    net = Net(
        conv1=conv(1, 32), conv2=conv(32, 64), fc1=nn.Linear(64 * 9, 64), fc2=nn.Linear(64, 32),
        fc3=nn.Linear(32, 10), bn1=nn.BatchNorm2d(32), bn2=nn.BatchNorm2d(64),
        bn3=nn.BatchNorm1d(64), bn4=nn.BatchNorm1d(32),
    )  # fmt: skip
    return net, [
        ("conv1", ("bn1",)), ("conv2", ("bn2",)), ("fc1", ("bn3",)), ("fc2", ("bn4",)),
        ("fc3", ()),
    ]  # fmt: skip


def dense_first() -> tuple[nn.Module, Truth]:
    """Dense layers are defined before the convolutions that feed them."""
    net = Net(
        fc1=nn.Linear(16 * 4, 32), fc2=nn.Linear(32, 10), bn1=nn.BatchNorm2d(8),
        conv1=conv(3, 8), bn2=nn.BatchNorm2d(16), conv2=conv(8, 16),
    )  # fmt: skip
    return net, [("conv1", ("bn1",)), ("conv2", ("bn2",)), ("fc1", ()), ("fc2", ())]


def unnumbered() -> tuple[nn.Module, Truth]:
    """Case 10: names that the alphabet puts into the wrong order."""
    widths = {"stem": (1, 8), "middle": (8, 16), "deep": (16, 16)}
    parts: dict[str, nn.Module] = {}
    truth: Truth = []
    for name, (takes, gives) in widths.items():
        parts |= {name: conv(takes, gives, 5), f"{name}_norm": nn.BatchNorm2d(gives)}
        truth.append((name, (f"{name}_norm",)))
    parts |= {"hidden": nn.Linear(144, 32), "hidden_norm": nn.BatchNorm1d(32)}
    parts["classifier"] = nn.Linear(32, 10)
    return Net(**parts), [*truth, ("hidden", ("hidden_norm",)), ("classifier", ())]


def letters() -> tuple[nn.Module, Truth]:
    net = Net(c=conv(3, 8), b=conv(8, 12), d=nn.Linear(12 * 25, 20), a=nn.Linear(20, 10))
    return net, [(name, ()) for name in "cbda"]


def lenet() -> tuple[nn.Module, Truth]:
    net = Net(
        conv1=conv(1, 6, 5, bias=True), conv2=conv(6, 16, 5, bias=True), fc1=nn.Linear(400, 120),
        fc2=nn.Linear(120, 84), fc3=nn.Linear(84, 10),
    )  # fmt: skip
    return net, [(name, ()) for name in ("conv1", "conv2", "fc1", "fc2", "fc3")]


def perceptron() -> tuple[nn.Module, Truth]:
    modules: list[nn.Module] = []
    for _ in range(12):
        modules += [nn.Linear(16, 16), nn.LayerNorm(16), nn.ReLU()]
    truth: Truth = [(f"{at}", (f"{at + 1}",)) for at in range(0, 36, 3)]
    return nn.Sequential(*modules, nn.Linear(16, 10)), [*truth, ("36", ())]


def vision_transformer() -> tuple[nn.Module, Truth]:
    """Norms come before attention and before the dense layers; the widths cannot show it."""
    blocks: list[nn.Module] = []
    truth: Truth = [("patch_embed.proj", ())]
    for index in range(3):
        attention = Net(qkv=nn.Linear(16, 48), proj=nn.Linear(16, 16))
        mlp = Net(fc1=nn.Linear(16, 64), fc2=nn.Linear(64, 16))
        blocks.append(Net(norm1=nn.LayerNorm(16), attn=attention, norm2=nn.LayerNorm(16), mlp=mlp))
        at = f"blocks.{index}"
        truth += [(f"{at}.attn.qkv", ()), (f"{at}.attn.proj", (f"{at}.norm1",))]
        truth += [(f"{at}.mlp.fc1", ()), (f"{at}.mlp.fc2", (f"{at}.norm2",))]
    truth[-1] = (truth[-1][0], (*truth[-1][1], "norm"))
    net = Net(
        patch_embed=Net(proj=nn.Conv2d(3, 16, 4)), blocks=nn.Sequential(*blocks),
        norm=nn.LayerNorm(16), head=nn.Linear(16, 10),
    )  # fmt: skip
    return net, [*truth, ("head", ())]


def generator() -> tuple[nn.Module, Truth]:
    """A dense layer feeds transposed convolutions, whose kernels are stored [in, out, ...]."""
    net = Net(
        fc=nn.Linear(100, 128 * 49), deconv1=nn.ConvTranspose2d(128, 64, 4, bias=False),
        bn1=nn.BatchNorm2d(64), deconv2=nn.ConvTranspose2d(64, 1, 4, bias=False),
    )  # fmt: skip
    return net, [("fc", ()), ("deconv1", ("bn1",)), ("deconv2", ())]


def autoencoder() -> tuple[nn.Module, Truth]:
    net = Net(
        dec2=nn.Linear(32, 784), dec1=nn.Linear(8, 32), enc1=nn.Linear(784, 32),
        enc2=nn.Linear(32, 8),
    )  # fmt: skip
    return net, [(name, ()) for name in ("enc1", "enc2", "dec1", "dec2")]


def u_net() -> tuple[nn.Module, Truth]:
    """The decoder counts down to its output."""
    parts: dict[str, nn.Module] = {}
    truth: Truth = []
    for name, takes, gives in (
        ("enc1", 3, 8), ("enc2", 8, 16), ("enc3", 16, 32), ("bottleneck", 32, 64),
        ("dec3", 64, 32), ("dec2", 32, 16), ("dec1", 16, 8),
    ):  # fmt: skip
        parts[name] = Net(conv=conv(takes, gives), norm=nn.BatchNorm2d(gives))
        truth.append((f"{name}.conv", (f"{name}.norm",)))
    parts["outc"] = conv(8, 1, 1)
    return Net(**parts), [*truth, ("outc", ())]


NETS = {
    "lenet": lenet, "vgg": vgg, "perceptron": perceptron, "norms last": norms_last,
    "resnet of CIFAR": lambda: resnet(3, (4, 8, 16), "shortcut", "linear"),
    "resnet of ImageNet": lambda: resnet(2, (8, 16, 32, 64), "downsample", "fc"),
    "pre-activation": preactivation, "wide resnet": wide_resnet, "densenet": densenet,
    "mobilenet": mobilenet, "dense first": dense_first, "unnumbered": unnumbered,
    "letters": letters, "vision transformer": vision_transformer, "generator": generator,
    "autoencoder": autoencoder, "u-net": u_net,
}  # fmt: skip
