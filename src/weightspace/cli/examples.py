"""One or two examples of each command, which its `--help` shows."""

from __future__ import annotations

EXAMPLES = {
    "sample": (
        "sample demo --nets 300 --out zoo",
        "sample space.yaml --nets 1000 --out zoo --estimate",
    ),
    "info": ("info zoo",),
    "check": ("check zoo --full",),
    "merge": ("merge whole part-1 part-2",),
    "repair": ("repair zoo",),
    "index": ("index zoo",),
    "reproduce": ("reproduce zoo 0f4c93c2a1b2d3e4",),
    "export": ("export zoo nets --format safetensors --snapshots -1",),
    "add": ("add checkpoints zoo --known table.csv",),
    "publish": ("publish zoo me/nets --out folder --licence cc-by-4.0 --dry-run",),
    "import": ("import downloads zoo --format nws",),
    "evaluate": ("evaluate zoo --out results --classifiers kernel,layers",),
    "dissect": ("dissect zoo --out report", "dissect zoo --out report --also none"),
    "explore": ("explore zoo --out page", "explore zoo --out page --model model"),
    "fit": ("fit zoo --out model",),
    "predict": ("predict model net.pt other.safetensors",),
    "inspect": ("inspect net.pt", "inspect hf://OWNER/NAME --no-hash"),
    "audit": (
        "audit net.pt --claims README.md",
        "audit net.pt --claim optimizer=sgd --html net.html",
    ),
    "compare": ("compare net.pt other.safetensors",),
    "app": ("app --port 8080",),
    "watch": ("watch checkpoints --model model",),
    "demo": ("demo --nets 100 --out demo",),
    "spaces": ("spaces",),
    "images": ("images --data-dir data",),
    "bench sample": ("bench sample bench-small --out small",),
    "bench run": (
        "bench run small --encoder layers --out layers.json",
        "bench run small --encoder mine.py:Mine --out mine.json",
    ),
    "bench table": (
        "bench table layers.json mine.json",
        "bench table layers.json mine.json --figure board.svg",
    ),
}
"""Each is what stands after `weightspace`."""


def epilog(command: str) -> str | None:
    """The end of the help of a command."""
    known = EXAMPLES.get(command, ())
    lines = [f"  weightspace {example}" for example in known]
    # The first line is a mark of click: lines after it are not joined.
    return "\n".join(("\b", "Examples:" if lines[1:] else "Example:", *lines)) if lines else None
