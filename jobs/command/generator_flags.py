"""The flags that say which generator draws, and how: they take the place of what a recipe draws with."""

from dataclasses import dataclass
from typing import Annotated, Literal

from typer import Option

from jobs.command.flags import ScatteredCommand


@dataclass(frozen=True, kw_only=True)
class GeneratorCommand(ScatteredCommand):
    """A command that draws; its fields are those of the same name in `RunConfig`."""

    model: Annotated[
        list[str] | None,
        Option(
            metavar="DIR_OR_ID",
            help="weights, or openai:URL#NAME; for recipes that take some of yours; several draw together",
        ),
    ] = None
    model_weight: Annotated[
        list[float] | None,
        Option(metavar="W", help="share of each of several --model, in their order (default: all alike)"),
    ] = None
    held_out_model: Annotated[
        str | None, Option(metavar="DIR_OR_ID", help="one of several --model, whose pictures are never trained on")
    ] = None
    image_price: Annotated[
        float | None, Option(min=0, metavar="W", help="what an image of --model openai:URL costs, for its row")
    ] = None
    writer: Annotated[
        str | None, Option(metavar="chat:URL#NAME", help="--recipe rewrite: a language model behind an address")
    ] = None
    steps: Annotated[str | None, Option(metavar="N", help="denoising steps (default: the recipe's)")] = None
    guidance_scale: Annotated[
        str | None, Option(metavar="W", help="how closely to follow the prompt (default: the recipe's)")
    ] = None
    true_cfg_scale: Annotated[
        str | None, Option(metavar="W", help="classifier-free guidance of models that were taught a guidance scale")
    ] = None
    size: Annotated[str | None, Option(metavar="WxH", help="pixels, such as 1024x768 (default: the model's own)")] = (
        None
    )
    scheduler: Annotated[
        str | None, Option(metavar="NAME", help="dpm, euler_trailing, … or a scheduler class of diffusers")
    ] = None
    negative_prompt: Annotated[str | None, Option(metavar="TEXT", help="what not to draw")] = None
    lora: Annotated[
        list[str] | None, Option(metavar="FILE[:WEIGHT]", help="a LoRA for the model; may be given several times")
    ] = None
    dtype: Annotated[
        str | None, Option(metavar="NAME", help="float32, bfloat16 or float16 (default: as the machine draws best)")
    ] = None
    model_config: Annotated[
        str | None, Option(metavar="DIR", help="configs and tokenizers of a --model in one file (default: beside it)")
    ] = None
    denoiser: Annotated[
        str | None, Option(metavar="FILE", help="a U-Net or transformer for the model, .gguf or .safetensors")
    ] = None
    quantise: Annotated[
        Literal["int8", "fp8", "nf4"] | None,
        Option(help="the denoiser's weights alone, for less memory (torchao, bitsandbytes)"),
    ] = None
    textual_inversion: Annotated[
        list[str] | None,
        Option(metavar="FILE", help="a word for the model, by the file's name; may be given several times"),
    ] = None
    offload: Annotated[
        Literal["auto", "none", "model", "sequential", "group"],
        Option(help="what of the weights waits outside of the accelerator (auto: by its free memory)"),
    ] = "auto"
    compile: Annotated[
        bool, Option("--compile", help="compile the model (docs/guide/accelerators.md): faster, and other bytes")
    ] = False
    fp8: Annotated[
        bool, Option("--fp8", help="the denoiser's weights and activations in float8: faster, and other bytes")
    ] = False
    long_prompts: Annotated[
        Literal["truncate", "chunks", "refuse"],
        Option(help="prompts beyond what text encoders read: draw the beginning, encode all in chunks, or take none"),
    ] = "truncate"
    guard: Annotated[
        str | None,
        Option(metavar="A,B", help="folders of classifiers that refuse prompts, drawings under way or pictures"),
    ] = None
