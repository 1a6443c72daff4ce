"""The recipe that attacks while it generates: variants in words before the picture is drawn, variants of the picture after it."""

from collections.abc import Iterable

from jobs.recipes.restricted import guarded, outside_model
from pipeline.plan import Plan
from pipeline.stage import Stage
from schemas.run import RunConfig
from schemas.sample import Sample
from stages.attack.text.homoglyphs import Homoglyphs
from stages.attack.text.synonyms import Synonyms
from stages.attack.text.typos import Typos
from stages.attack.transforms.grid import Grid
from stages.attack.transforms.recompress import Recompress
from stages.attack.variants import Variants
from stages.generate.diffusion import Diffusion
from stages.generate.replicate import Replicate
from stages.image_io.encode import Encode

# Black boxes of three kinds each, none that the shards hold out: four drawn pictures a prompt, two more made of the first.
IN_WORDS = (Homoglyphs(), Typos(), Synonyms())
IN_PIXELS = (Recompress(), Grid())


def hardened(config: RunConfig, items: Iterable[Sample]) -> Plan:
    """Grammar or file → variants in words → the embedded Stable Diffusion (or `--model`) → variants of pictures → PNG."""
    draw = Diffusion(model=outside_model(config, "assets/world/t2i"), steps=10, guidance_scale=3.0)
    stages: tuple[Stage, ...] = (
        Replicate(images_per_prompt=config.images_per_prompt),
        Variants(attacks=IN_WORDS, keep=True),
        *guarded(config, draw),
        Variants(attacks=IN_PIXELS, keep=True),
        Encode(),
    )
    return Plan(stages, items, unit_size=64, seed=config.seed)
