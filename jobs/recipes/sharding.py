"""How shards are made of a run, by the recipe that generated it: which signatures, what is near, what is held out, how balanced.

A new one is a function here. All thresholds live here and nowhere else.
"""

from collections.abc import Callable

from pipeline.recipe import ShardRecipe
from pipeline.selection.edges import GroupRules
from pipeline.selection.keep import Balance, KeepRules
from pipeline.selection.splits import SplitRules, held_out_attack, held_out_concept, held_out_generator, held_out_style
from schemas.run import RunConfig
from stages.image_io.fetch_picture import FetchPicture
from stages.signature.concepts import Concepts
from stages.signature.embedding import Embedding
from stages.signature.exact import Exact
from stages.signature.perceptual import Perceptual
from stages.signature.prompt_text import PromptText
from stages.signature.quality import Quality

# One style, three concepts and three attacks are never trained on, and neither are the other vendor's drawings. The first that fits
# names the test set, so an attacked picture in the held-out style counts for the style.
PICTOGRAM_HELD_OUT = (
    held_out_generator("render/twemoji"),
    held_out_style("vintage"),
    held_out_concept("ogre"),
    held_out_concept("dna"),
    held_out_concept("octopus"),
    # One attack of each kind, each the odd one out of its kind, so that what was learnt from the others is not simply asked again:
    held_out_attack(
        "misread"
    ),  # of words: what a reader of scans confuses; the others put signs for letters or change words
    held_out_attack("square"),  # of pixels: the only search without gradients
    held_out_attack(
        "overlay"
    ),  # of pictures by hand: the only one that puts something in instead of taking detail away
)


def pictogram(url: str) -> ShardRecipe:
    """The embedded world. Prompts of a grammar are alike by design, so only equal ones count; pictures by pHash."""
    return ShardRecipe(
        stages=(FetchPicture(url=url), Exact(), Perceptual(), PromptText(), Quality(), Concepts()),
        rules=KeepRules(splits=SplitRules(held_out=PICTOGRAM_HELD_OUT), balance=Balance(policy="weight")),
    )


def natural(url: str, clip: str = "assets/world/clip") -> ShardRecipe:
    """Prompts that people wrote and pictures of any generator: words by MinHash, pictures by pHash and by any CLIP's embedding.

    Jaccard 0.8 is what web-scale deduplication uses (Lee et al. 2022); cosine 0.95 is SemDeDup's mildest (Abbas et al. 2023).
    """
    return ShardRecipe(
        stages=(FetchPicture(url=url), Exact(), Perceptual(), PromptText(), Quality(), Embedding(model=clip)),
        rules=KeepRules(groups=GroupRules(words_jaccard=0.8, embedding_cosine=0.95)),
    )


SHARDING: dict[str, Callable[[str], ShardRecipe]] = dict.fromkeys(
    ("pictogram", "render", "mixture", "rewrite", "in_diffusion", "hardened"), pictogram
)
"""By the generating recipe's name; every other recipe is `natural`."""


def recipe_of(config: RunConfig, url: str) -> ShardRecipe:
    """The shard recipe of a run that lies at `url`."""
    return SHARDING.get(config.recipe, natural)(url)
