"""Train the concept reader: `python -m classifiers.training.concept_reader --work DIR --minutes 60`; asked again, it goes on."""

import argparse
from pathlib import Path

from classifiers.training.concept_reader.training import ReaderTraining
from pipeline.training.process_group import ProcessGroup, settle
from stages.world.training.loop import Budget, fit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="where the checkpoint and the curve lie")
    parser.add_argument("--minutes", type=float, help="wall time, restarts added up")
    parser.add_argument("--samples", type=int, help="instead of minutes: reproducible")
    parser.add_argument("--generated", type=Path, help="labelled pictures of the embedded model, from generated.py")
    parser.add_argument("--seed", type=int, default=23)
    args = parser.parse_args()
    settle()
    training = ReaderTraining(args.work, args.seed, args.generated)
    fit(training, Budget(args.minutes, args.samples), args.work, args.seed, ProcessGroup.alone(), report_every=50)


if __name__ == "__main__":
    main()
