"""The recipes of the embedded world: each returns a value that is read top to bottom. A new one is a function like these."""

from jobs.recipes.parts import embedded, world
from jobs.recipes.prompts import default_prompts
from jobs.recipes.restricted import guarded
from pipeline.recipe import Recipe
from schemas.errors import InputError
from schemas.run import RunConfig
from stages.generate.mixture import Mixture, Part, SortByPart
from stages.generate.render import Render
from stages.generate.replicate import Replicate
from stages.image_io.encode import Encode
from stages.prompts.distinct import Distinct
from stages.prompts.gated import Gated
from stages.prompts.grammar import COUNT
from stages.prompts.language_model import SMOLLM2
from stages.prompts.remote_rewrite import RemoteRewrite
from stages.prompts.rewrite import Rewrite
from stages.prompts.vocabulary import VocabularyPrompts
from stages.remote.address import allowed_hosts


def pictogram(config: RunConfig) -> Recipe:
    """Grammar or file → the embedded Stable Diffusion → PNG. The default."""
    _draws_without_model(config)
    return Recipe(
        name="pictogram",
        prompts=default_prompts(config),
        stages=(Replicate(images_per_prompt=config.images_per_prompt), embedded(), Encode()),
        redraw=(embedded(),),
        **world(),
    )


def render(config: RunConfig) -> Recipe:
    """Grammar or file → scenes drawn without a model → PNG. For scale, and as ground truth.

    They take only the grammar's words, so the embedded model draws what an attack makes of them.
    """
    _draws_without_model(config)
    return Recipe(
        name="render",
        prompts=default_prompts(config),
        stages=(Replicate(images_per_prompt=config.images_per_prompt), Render(), Encode()),
        redraw=(embedded(),),
        # 256 items a unit: 0.3 s of work, so that a lost worker costs little and the commit's fsyncs (3 ms) are 1 %.
        unit_size=256,
        **world(),
    )


def mixture(config: RunConfig) -> Recipe:
    """Grammar or file → three in four drawn by the embedded Stable Diffusion, one without a model → PNG.

    Attacked words are all drawn by the model, as in `render`.
    """
    _draws_without_model(config)
    parts = (Part(embedded(), 3), Part(Render(), 1))
    return Recipe(
        name="mixture",
        prompts=default_prompts(config),
        stages=(
            Replicate(images_per_prompt=config.images_per_prompt),
            SortByPart(parts=parts),
            Mixture(parts=parts),
            Encode(),
        ),
        redraw=(embedded(),),
        **world(),
    )


def rewrite(config: RunConfig) -> Recipe:
    """Vocabulary × templates, or file → SmolLM2 writes a sentence → gate → the embedded Stable Diffusion → PNG.

    `--model` names another language model, `--writer chat:URL#NAME` one behind an address. One core writes about 1.5 sentences a
    second. Attacked words are drawn as they are.
    """
    draw = guarded(config, embedded())
    return Recipe(
        name="rewrite",
        prompts=VocabularyPrompts(config.count or COUNT),
        stages=(
            _writer(config),
            Gated(),
            Distinct(),
            Replicate(images_per_prompt=config.images_per_prompt),
            *draw,
            Encode(),
        ),
        redraw=draw,
        **world(),
    )


def _writer(config: RunConfig) -> Rewrite | RemoteRewrite:
    if config.writer is None:
        return Rewrite(model=config.model or SMOLLM2)
    if config.model is not None:
        raise InputError("--writer and --model both name what writes the prompts of the recipe rewrite; give one")
    return RemoteRewrite(model=config.writer, allowed_hosts=allowed_hosts())


def _draws_without_model(config: RunConfig) -> None:
    """Raise InputError for what this recipe would pass over in silence."""
    flags = {"--model": config.model, "--picture-check": config.picture_check, "--hash-list": config.hash_list}
    for flag in (flag for flag, value in flags.items() if value is not None):
        raise InputError(
            f"{flag} goes with --recipe diffusion and other recipes that take a model of yours; {config.recipe!r} does not"
        )
