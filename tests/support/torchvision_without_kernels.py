"""torchvision beside a CPU build of torch: its wheel's compiled operators do not load there, and importing it would end at once.

`python -m tests.support.torchvision_without_kernels MODULE ARGS…` declares the two operators that the import looks for (nobody here
calls them) and runs MODULE as `python -m` would.
"""

import runpy
import sys

import torch


def declare_operators() -> torch.library.Library:
    """The schemas of the operators that torchvision's import asks for; keep what is returned."""
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


if __name__ == "__main__":
    kept = declare_operators()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
