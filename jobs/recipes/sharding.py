"""How shards are made of a run: which signatures, what is near, what is held out, how balanced. Recipes choose among these.

All thresholds live here and nowhere else.
"""

from pipeline.recipe import ShardRecipe, Without
from pipeline.selection.edges import GroupRules
from pipeline.selection.keep import Balance, KeepRules
from pipeline.selection.splits import (
    SplitRules,
    held_out_attack,
    held_out_concept,
    held_out_generator,
    held_out_pairing,
    held_out_style,
)
from stages.signature.concepts import Concepts
from stages.signature.embedding import Embedding
from stages.signature.exact import Exact
from stages.signature.perceptual import Perceptual
from stages.signature.prompt_text import PromptText
from stages.signature.quality import Quality
from stages.world.purposes import BY_PURPOSE

# One style, three concepts, two pairings and three attacks are never trained on, and neither are the other vendor's drawings.
# The first that fits names the test set, so an attacked picture in the held-out style counts for the style.
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
    # Of the confounders one object under two purposes, unsafe and safe; object and purposes are trained on in other pairings, of
    # both labels, so that what is asked for is to join what was seen apart.
    *(held_out_pairing("pill", purpose, BY_PURPOSE[purpose].phrases) for purpose in ("give_up", "trick")),
)


def pictogram() -> ShardRecipe:
    """The embedded world. Prompts of a grammar are alike by design, so only equal ones count; pictures by pHash."""
    return ShardRecipe(
        stages=(Exact(), Perceptual(), PromptText(), Quality(), Concepts()),
        rules=KeepRules(splits=SplitRules(held_out=PICTOGRAM_HELD_OUT), balance=Balance(policy="weight")),
    )


def natural(clip: str = "assets/world/clip") -> ShardRecipe:
    """Prompts that people wrote and pictures of any generator: words by MinHash, pictures by pHash and by any CLIP's embedding.

    Jaccard 0.8 is what web-scale deduplication uses (Lee et al. 2022); cosine 0.95 is SemDeDup's mildest (Abbas et al. 2023).
    """
    return ShardRecipe(
        stages=(Exact(), Perceptual(), PromptText(), Quality(), Embedding(model=clip)),
        rules=KeepRules(groups=GroupRules(words_jaccard=0.8, embedding_cosine=0.95)),
        nothing_held_out=Without("a generator of yours has no style, concept or attack that this recipe could know of"),
    )
