"""The generator that `--model` names: a directory or hub id of diffusers, or one behind an address."""

from schemas.errors import InputError
from schemas.generation import ADDRESS
from schemas.run import RunConfig
from stages.generate.diffusion import Diffusion
from stages.generate.remote_images import RemoteImages
from stages.remote.address import allowed_hosts


def generator_of(config: RunConfig, model: str) -> Diffusion | RemoteImages:
    """Each with its own steps and guidance. Raises InputError for an address that is none, or that is not allowed."""
    if model.startswith(ADDRESS):
        return RemoteImages(model=model, allowed_hosts=allowed_hosts(), price=config.image_price or 0.0)
    return Diffusion(model=model, steps=None, guidance_scale=None)


def refuse_address(config: RunConfig, model: str) -> None:
    """Raise InputError for an address where a recipe draws with weights that it loads itself."""
    if model.startswith(ADDRESS) and config.recipe != "diffusion":
        raise InputError(
            f"--model {model}: recipe {config.recipe} loads its weights itself; a generator behind an address goes with "
            "--recipe diffusion"
        )
