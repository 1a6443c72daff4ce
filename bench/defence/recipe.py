"""The recipe of the bench's run where shipped weights are judged: nothing is trained on it, so seven rows in ten are test rows."""

from dataclasses import replace

from jobs.recipes.pictogram import render
from pipeline.recipe import Recipe, ShardRecipe
from pipeline.selection.splits import held_out_attack
from schemas.run import RunConfig

NEVER_TRAINED_AGAINST = ("distractors", "deep_fool")
"""Besides those that the world's recipe holds out (misread, square): half of the suite. `classifiers.training.guards` searches over
words, `classifiers.training.concept_reader` takes steps of signed gradients; neither meets any of the four."""


def judged(config: RunConfig) -> Recipe:
    """`render` with other shares, and with more attacks that count as held out."""
    made = render(config)
    assert isinstance(made.shards, ShardRecipe)
    rules = made.shards.rules
    held_out = (*rules.splits.held_out, *(held_out_attack(name) for name in NEVER_TRAINED_AGAINST))
    splits = replace(rules.splits, train=0.1, val=0.2, held_out=held_out)
    return replace(made, shards=replace(made.shards, rules=replace(rules, splits=splits)))
