"""Write docs/reference/generators.md from what diffusers' classes say of themselves and what the tests try.

python -m tests.support.generators_table
"""

from pathlib import Path
from typing import Any

from stages.generate.pipeline_class import PipelineClass, refusal
from tests.support.every_class import CLASSES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "generators.md"
HEAD = """# Text-to-image classes

Written by `python -m tests.support.generators_table` from diffusers {version}; a test compares it. Any class that draws from a
prompt alone is taken, also one that is not here: support follows from what the class says of itself.

*Tried*: `tests/stages/generate/test_every_class.py` draws it with random weights of a few thousand parameters: twice, alone and in
company, the same bytes, and the right size. Real weights were not to be had. *Rows*: whether a batch is computed at once or row by
row, which is what a class gets that was not measured to give a row the same bytes in any company. *Sizes*: what is drawn unless
`--size` says otherwise. *Tokens*: the longest prompt that is read. *Guidance*: `classifier-free` runs the model twice a step,
`embedded` tells it a number, `fixed` takes none.

| class | tried | rows | sizes | tokens | negative prompt | LoRA | image to image | guidance |
|---|---|---|---|---|---|---|---|---|
"""
REFUSED = "\n## Refused, and why\n\nOf diffusers' own list of text-to-image classes:\n\n| class | reason |\n|---|---|\n"


def auto_mapped() -> list[str]:
    """Classes that diffusers lists for text to image."""
    from diffusers.pipelines.auto_pipeline import AUTO_TEXT2IMAGE_PIPELINES_MAPPING

    return sorted({found.__name__ for found in AUTO_TEXT2IMAGE_PIPELINES_MAPPING.values()})


def page() -> str:
    """The page's text."""
    import diffusers

    names = sorted({*CLASSES, *auto_mapped()}, key=str.lower)
    rows = "".join(_row(name) for name in names if refusal(name) is None)
    refused = "".join(f"| `{name}` | {refusal(name)} |\n" for name in names if refusal(name) is not None)
    return HEAD.format(version=diffusers.__version__) + rows + REFUSED + refused


def _row(name: str) -> str:
    import diffusers

    kind = PipelineClass.named(name)
    cells = [
        f"`{name}`",
        "yes" if name in CLASSES else "no",
        "in batches" if kind.family.together else "row by row",
        _sizes(kind),
        _tokens(kind),
        "yes" if "negative_prompt" in kind.accepts else "no",
        "yes" if hasattr(getattr(diffusers, name), "load_lora_weights") else "no",
        "yes" if kind.image_to_image is not None else "no",
        kind.guidance_kind,
    ]
    return f"| {' | '.join(cells)} |\n"


def _sizes(kind: PipelineClass) -> str:
    if kind.family.sizes:
        return ", ".join(f"{width}x{height}" for width, height in kind.family.sizes) + " only"
    width, height = kind.accepts.get("width"), kind.accepts.get("height")
    own = f"{width}x{height}" if isinstance(width, int) and isinstance(height, int) else "the model's own"
    if "height" not in kind.accepts:
        return f"{own}, no other"
    return f"{own}'s area in any form" if kind.family.area else own


def _tokens(kind: PipelineClass) -> str:
    longest: Any = kind.fixed_arguments().get("max_sequence_length", kind.accepts.get("max_sequence_length"))
    return str(longest) if isinstance(longest, int) else "the tokenizer's"


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page())
