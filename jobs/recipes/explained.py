"""What `--explain` says of each model, be it a directory or an address."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from jobs.recipes.asked_settings import load_options
from jobs.recipes.generators import generator_of
from schemas.run import RunConfig
from stages.generate.diffusion import Diffusion
from stages.generate.explain import explained
from stages.generate.remote_images import RemoteImages


def explanations(config: RunConfig, models: Sequence[str], *, measure: bool) -> Iterator[dict[str, Any]]:
    """By name, a model after the other; two pictures are drawn of each directory to `measure` it, none behind an address."""
    for model in models:
        stage = generator_of(config, model).with_settings(config.generation)
        options = load_options(config)
        if isinstance(stage, RemoteImages):
            yield {"model": model, **addressed(stage)}
        if isinstance(stage, Diffusion):
            yield {"model": model, **explained(replace(stage, load=options), measure=measure)}


def addressed(stage: RemoteImages) -> dict[str, Any]:
    """What is known of a generator that is only asked: nothing of its weights."""
    import os

    address = stage.address()
    return {
        "address": address.url,
        "name": address.model or "the service's own",
        "key": f"{stage.key_variable} is {'set' if os.environ.get(stage.key_variable) else 'not set'}",
        "sent": "prompt, size"
        if stage.public
        else "prompt, size, seed; steps, guidance and negative prompt where given",
        "requests at once": f"{stage.concurrency} a worker, each tried {stage.attempts} times",
        "made again": "never: weights are unknown, so a run of it keeps what came back (level L0)",
    }
