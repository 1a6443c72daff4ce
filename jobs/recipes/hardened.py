"""The recipe that attacks while it generates: variants in words before the picture is drawn, variants of the picture after it."""

from jobs.recipes.parts import EMBEDDED, embedded, world
from jobs.recipes.prompts import default_prompts
from jobs.recipes.restricted import guarded, outside_model
from pipeline.recipe import Recipe
from schemas.run import RunConfig
from stages.attack.text.homoglyphs import Homoglyphs
from stages.attack.text.synonyms import Synonyms
from stages.attack.text.typos import Typos
from stages.attack.transforms.grid import Grid
from stages.attack.transforms.recompress import Recompress
from stages.attack.variants import Variants
from stages.generate.replicate import Replicate
from stages.image_io.encode import Encode

# Black boxes of three kinds each, none that the shards hold out: four drawn pictures a prompt, two more made of the first.
IN_WORDS = (Homoglyphs(), Typos(), Synonyms())
IN_PIXELS = (Recompress(), Grid())


def hardened(config: RunConfig) -> Recipe:
    """Grammar or file → variants in words → the embedded Stable Diffusion (or `--model`) → variants of pictures → PNG."""
    draw = guarded(config, embedded(model=outside_model(config, EMBEDDED)))
    return Recipe(
        name="hardened",
        prompts=default_prompts(config),
        stages=(
            Replicate(images_per_prompt=config.images_per_prompt),
            Variants(attacks=IN_WORDS, keep=True),
            *draw,
            Variants(attacks=IN_PIXELS, keep=True),
            Encode(),
        ),
        redraw=draw,
        **world(),
    )
