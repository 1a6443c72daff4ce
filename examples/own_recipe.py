"""A recipe of your own, in a file of your own: cats at night. Nothing in Hazmat's checkout is edited.

    python examples/own_recipe.py runs/cats         makes 24 pairs, attacks their words, and writes shards

A recipe is one value that says everything. Every command finds it again by the file that run.json records.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.recipe import Recipe, ShardRecipe, Without
from pipeline.selection.keep import KeepRules
from pipeline.selection.splits import SplitRules, held_out_attack
from schemas.prompt import Prompt
from schemas.run import RunConfig
from stages.generate.diffusion import Diffusion
from stages.generate.render import Render
from stages.generate.replicate import Replicate
from stages.image_io.encode import Encode
from stages.signature.exact import Exact
from stages.signature.perceptual import Perceptual
from stages.signature.prompt_text import PromptText


@dataclass(frozen=True)
class CatPrompts:
    """Where the prompts come from: anything that yields the same ones each time."""

    count: int

    def __iter__(self) -> Iterator[Prompt]:
        for number in range(self.count):
            company = ("a dog", "an apple", "a house", "a key")[number % 4]
            yield Prompt(f"a cat and {company} on a {('black', 'blue')[number // 4 % 2]} background", source="cats")


def cats(config: RunConfig) -> Recipe:
    """Cats in company, drawn without a model."""
    return Recipe(
        name="cats",
        prompts=CatPrompts(config.count or 8),
        # From a prompt to a committed row.
        stages=(Replicate(images_per_prompt=config.images_per_prompt), Render(), Encode()),
        # Attacked words are no longer the grammar's, so a model draws them.
        redraw=(Diffusion(model="assets/world/t2i", steps=10, guidance_scale=3.0),),
        # What is near what, and what nobody may train on.
        shards=ShardRecipe(
            stages=(Exact(), Perceptual(), PromptText()),
            rules=KeepRules(splits=SplitRules(held_out=(held_out_attack("typos"),))),
        ),
        # Who knows the truth: the scene that was drawn, and the words.
        judges=("scene_truth", "prompt_truth"),
        # A part that you do not have is said in words, which your users will read.
        wording=Without("nobody has written a reader for prompts about cats"),
    )


def main(out: str) -> None:
    """The commands, as you would type them."""
    recipe = f"{Path(__file__).resolve()}:cats"
    for command in (
        ("generate", "--out", out, "--recipe", recipe, "--images-per-prompt", "3"),
        ("attack", out, "--attacks", "homoglyphs,typos"),
        ("label", out, "--labellers", "scene_truth,prompt_truth"),
        ("label", out, "--aggregate", "majority"),
        ("shards", out),
        ("query", out, "SELECT attack, split, count(*) AS samples FROM samples GROUP BY ALL ORDER BY ALL"),
    ):
        name, *arguments = command
        engine = ["--engine", "local"] if name != "query" and "--aggregate" not in arguments else []
        job = Path(__file__).parents[1] / "jobs" / f"{name}.py"
        subprocess.run([sys.executable, str(job), *arguments, *engine], check=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "runs/cats")
