#!/usr/bin/env python
"""Train the parts of the embedded world: tokenizer, autoencoder, CLIP, diffusion, tagger.

    jobs/world.py train vae --minutes 10        goes on where a killed run stopped; the same command resumes
    jobs/world.py train t2i --samples 2000000 --processes 2
    jobs/world.py train clip-text --warm assets/world    begins from committed weights; then clip, t2i, tagger likewise

Order: tokenizer, then vae and clip (side by side), then t2i and tagger (both need the vae, t2i needs clip's text tower).
`clip` trains both towers, or with --warm the picture tower alone against what `clip-text` made.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: see stages/world/training/process_group.py
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import argparse

from stages.world.training.parts import PARTS, TrainConfig, train


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command = parser.add_subparsers(dest="command", required=True).add_parser("train", help="train one part")
    command.add_argument("part", choices=PARTS)
    command.add_argument("--out", type=Path, default=Path("assets/world"), help="where the finished part is stored")
    command.add_argument("--work", type=Path, default=Path("runs/world"), help="checkpoints, curves and caches")
    command.add_argument("--minutes", type=float, help="wall time, added up over restarts; the rate falls to 0 with it")
    command.add_argument("--samples", type=int, help="instead of --minutes: reproducible")
    command.add_argument("--processes", type=int, default=1, help="one-thread processes; 1 on an accelerator")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--warm", type=Path, help="committed assets to start from, as assets/world")
    command.add_argument("--export", action="store_true", help="only store what the last checkpoint holds")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    train(
        TrainConfig(
            part=given.part,
            out=given.out,
            work=given.work,
            minutes=given.minutes,
            samples=given.samples,
            processes=given.processes,
            seed=given.seed,
            export_only=given.export,
            warm=given.warm,
        )
    )


if __name__ == "__main__":
    main()
