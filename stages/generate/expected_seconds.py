"""About how long a diffusion model draws one picture, by arithmetic alone: enough to cut units by, the same on every machine."""

from collections.abc import Callable
from math import prod

from schemas.errors import InputError
from schemas.generation import GenerationSettings
from stages.generate.loading import Weights
from stages.generate.pipeline_directory import tensor_shapes, weight_files
from stages.generate.row_settings import used

CPU_RATE = 45e9  # operations a second of one worker (PACKAGES.md part 3: 44 to 46 GFLOP/s)
ACCELERATOR_RATE = (
    5e13  # Stable Diffusion 1.5, 50 steps with guidance in 1.6 s on an A100 (pipelines_and_engines.md 4.1)
)
# Operations of one pass are 2 x parameters x places. A transformer has its parameters at every place; a UNet most of them where the
# picture is small: 0.8e12 operations (Stable Diffusion 1.5 at 512 pixels, 0.86e9 parameters, 4,096 cells) are a tenth of all.
SHARE_OF_UNET = 0.1
STEPS = 30  # where neither the call nor the class says


def expected_seconds(weights: Weights, settings: GenerationSettings, on_cpu: bool) -> float:
    """Of one picture, to a factor of about three; the text encoder and the autoencoder are left out."""
    directory, kind = weights.directory, weights.kind
    files = weight_files(directory.path / directory.denoiser)
    parameters = sum(prod(shape) for file in files for shape in tensor_shapes(file).values())
    width, height = directory.size(settings.size)
    cells = (width // directory.shrinks) * (height // directory.shrinks)
    patch = directory.config(directory.denoiser).get("patch_size") or (2 if kind.packs else 1)
    side = patch[-1] if isinstance(patch, list) else int(patch)
    places = cells * SHARE_OF_UNET if directory.denoiser == "unet" else cells / side**2
    values = used(settings, kind)
    steps, guidance = values["steps"], values["guidance_scale"]
    strong = isinstance(guidance, int | float) and guidance > 1 and kind.guidance_kind.startswith("classifier-free")
    passes = (steps if isinstance(steps, int) else STEPS) * (2 if strong or values["true_cfg_scale"] else 1)
    return 2 * parameters * places * passes / (CPU_RATE if on_cpu else ACCELERATOR_RATE)


def known_seconds(find: Callable[[], Weights], settings: GenerationSettings, on_cpu: bool) -> float:
    """The same; 0 where weights are missing, which is said when they are loaded, and for a directory that does not say."""
    try:
        return expected_seconds(find(), settings, on_cpu)
    except (InputError, KeyError, TypeError, ValueError):
        return 0.0
