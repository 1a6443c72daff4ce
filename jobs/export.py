#!/usr/bin/env python
"""Write a trained classifier for those who have no checkout: as a folder of transformers, or as an ONNX file.

    jobs/export.py runs/mine/models/image --to transformers --out exported/image     pipeline("image-classification", FOLDER)
    jobs/export.py runs/mine/models/cascade --to onnx --out exported/cascade         onnxruntime alone judges with it

The folder's README.md says how it is called. Nothing of the export needs `trust_remote_code`; in the ONNX graph resizing,
normalising and the threshold are inside. Both give the logits that the classifier gives here (docs/guide/export.md).
"""

import time
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from typer import Argument, Option

from jobs.command import DONE, LocalCommand, report, resolve_out, run_command, say


@dataclass(frozen=True, kw_only=True)
class Export(LocalCommand):
    """Which classifier, in whose format."""

    resumes: ClassVar = False

    model: Annotated[str, Argument(metavar="MODEL", help="a trained classifier's folder, such as RUN/models/NAME")]
    to: Annotated[Literal["transformers", "onnx"], Option(help="for whom the folder is written")]
    out: Annotated[str, Option(metavar="DIR", help="folder to write; empty or missing")]


def main(config: Export) -> int:
    """Load, write, say what was written."""
    from classifiers.export.exported import empty_folder, exportable
    from classifiers.export.onnx_folder import write_onnx
    from classifiers.export.transformers_folder import write_transformers

    started = time.monotonic()
    folder = empty_folder(resolve_out(config.out))
    model, digest = exportable(config.model)
    write = {"transformers": write_transformers, "onnx": write_onnx}[config.to]
    write(model, digest, folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    summary = {"out": str(folder), "to": config.to, "kind": model.kind, "digest": digest, "bytes": size}
    summary["seconds"] = round(time.monotonic() - started, 2)
    say(f"{model.kind} for {config.to}: {folder} ({size / 1e6:.1f} MB); README.md there says how to call it")
    report(config, summary)
    return DONE


if __name__ == "__main__":
    run_command(main)
