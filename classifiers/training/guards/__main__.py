"""Train the judge of words around a trained reader: `python -m classifiers.training.guards --reader FOLDER --out FOLDER`.

The same command with `--recalibrate FOLDER` keeps the judge of words in FOLDER and only sets the cuts anew, for another reader.
"""

import argparse
import json
from pathlib import Path

from classifiers.models.concept_reader import ConceptReader, rounded_matrices
from classifiers.models.guards import Guards
from classifiers.saved import load
from classifiers.training.config import CLIP
from classifiers.training.guards.training import PICTURES, ROWS, around, calibrated, trained
from pipeline.storage.weights import base_folder
from pipeline.training.process_group import settle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--reader", required=True, help="a folder, as classifiers.training.concept_reader.store writes it"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clip", default=CLIP, help="whose tokenizer and table of tokens are taken")
    parser.add_argument("--rows", type=int, default=ROWS, help="prompts beside pictures, each in several wordings")
    parser.add_argument("--pictures", type=int, default=PICTURES)
    parser.add_argument("--seed", type=int, default=23)
    parser.add_argument("--recalibrate", help="a folder of guards whose judge of words stays")
    args = parser.parse_args()
    settle()
    reader = load(args.reader)
    if not isinstance(reader, ConceptReader):
        raise SystemExit(f"{args.reader}: a {reader.kind}; expected a concept_reader, as store.py writes it")
    if args.recalibrate:
        known = load(args.recalibrate)
        if not isinstance(known, Guards):
            raise SystemExit(f"{args.recalibrate}: a {known.kind}; expected guards")
        model = around(reader, known.words, args.out.name)
        model.evidence.load_state_dict(known.evidence.state_dict())
        model.named.load_state_dict(known.named.state_dict())
    else:
        model = trained(reader, base_folder(args.clip), args.seed, args.rows, args.pictures)
    for part in (model.evidence, model.named):
        rounded_matrices(part)
    calibrated(model.eval(), reader.cut, args.seed + 1)
    model.save(args.out)
    print(json.dumps({"out": str(args.out), "cuts": dict(zip(("words", "picture", "both"), model.cuts, strict=True))}))


if __name__ == "__main__":
    main()
