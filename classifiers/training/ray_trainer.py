"""Several workers that train together, placed by Ray Train; each runs the very function that one process runs."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray
import ray.train
import torch
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer, get_device

from classifiers.training.config import Settings
from classifiers.training.train import train
from pipeline.engines.ray_cluster import _refuse_local_path as refuse_local_path
from pipeline.engines.ray_cluster import connect, disconnect
from pipeline.recipe import Recipe
from pipeline.training.process_group import ProcessGroup
from schemas.errors import HazmatError, InputError

RESTARTS = 3
"""Times that lost workers are replaced; the new ones go on from the last checkpoint."""
WORKPLACE = "ray"  # Ray's own notes, below models/NAME/training: every node must reach them
ERROR = "error.json"  # what a worker could not go on with: through Ray's own channel it would lose its type, and be tried again


def train_on_ray(url: str, settings: Settings, recipe: Recipe, workers: int, *, replace: bool = True) -> dict[str, Any]:
    """Train on `workers` of the cluster this process was submitted to, or else of one started here; the metrics.

    Gloo between CPUs, NCCL between GPUs. Raises InputError for what cannot be trained on, also for a local path on several nodes,
    HazmatError for what went wrong in a worker.
    """
    folder = Path(url) / "models" / settings.name
    notes = folder / "training" / WORKPLACE
    (folder / ERROR).unlink(missing_ok=True)
    print(f"training on {workers} Ray workers; watch {folder}/training (log.parquet, tensorboard)", flush=True)
    connect(workers)
    try:
        resources = ray.cluster_resources()
        accelerators, cores = int(resources.get("GPU", 0)), int(resources["CPU"])
        if workers > (accelerators or cores):
            raise InputError(
                f"--training-workers {workers}: there are {accelerators} accelerators and {cores} cores here"
            )
        refuse_local_path(url)
        TorchTrainer(
            _worker,
            train_loop_config={"url": url, "settings": asdict(settings), "recipe": recipe, "replace": replace},
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=accelerators > 0),
            torch_config=TorchConfig(backend="nccl" if accelerators else "gloo"),
            run_config=RunConfig(
                name=settings.name, storage_path=str(notes), failure_config=FailureConfig(max_failures=RESTARTS)
            ),
        ).fit()
    except ray.exceptions.RayError as error:
        raise HazmatError(f"a Ray worker failed: {str(error).strip().splitlines()[-1]}") from error
    finally:
        disconnect()
    if (folder / ERROR).is_file():
        failure = json.loads((folder / ERROR).read_text())
        (folder / ERROR).unlink()
        raise (InputError if failure["bad_input"] else HazmatError)(failure["error"])
    shutil.rmtree(notes, ignore_errors=True)
    metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return metrics


def _worker(config: dict[str, Any]) -> None:
    """One of them; `torch.distributed` has been set up already. All of them meet the same expected error, or none."""
    context = ray.train.get_context()
    torch.set_num_threads(1)
    group = ProcessGroup(context.get_world_rank(), context.get_world_size(), get_device())
    settings = Settings(**config["settings"])
    try:
        train(config["url"], settings, config["recipe"], group, replace=config["replace"])
    except HazmatError as error:
        if group.is_main_process:
            folder = Path(config["url"]) / "models" / settings.name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / ERROR).write_text(json.dumps({"error": str(error), "bad_input": isinstance(error, InputError)}))
