"""A tiny pipeline of every class that is tried, by the class's name."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from tests.support import tiny_flows as flows
from tests.support import tiny_kandinsky as kandinsky
from tests.support import tiny_pipelines as first
from tests.support import tiny_pixels as pixels
from tests.support import tiny_qwen as qwen
from tests.support import tiny_transformers as transformers
from tests.support import tiny_unets as unets

CLASSES: dict[str, Callable[[], Any]] = {
    "StableDiffusionPipeline": first.stable_diffusion,
    "StableDiffusionXLPipeline": first.sdxl,
    "StableDiffusion3Pipeline": first.sd3,
    "FluxPipeline": first.flux,
    "PixArtAlphaPipeline": partial(first.pixart, "PixArtAlphaPipeline"),
    "PixArtSigmaPipeline": first.pixart,
    "StableDiffusionPAGPipeline": partial(unets.sd_kin, "StableDiffusionPAGPipeline", pag_applied_layers="mid"),
    "StableDiffusionXLPAGPipeline": unets.sdxl_pag,
    "StableDiffusion3PAGPipeline": unets.sd3_pag,
    "LatentConsistencyModelPipeline": unets.lcm,
    "IFPipeline": unets.deepfloyd,
    "KandinskyCombinedPipeline": kandinsky.kandinsky,
    "KandinskyV22CombinedPipeline": kandinsky.kandinsky22,
    "Kandinsky3Pipeline": kandinsky.kandinsky3,
    "WuerstchenCombinedPipeline": kandinsky.wuerstchen,
    "StableCascadeCombinedPipeline": kandinsky.cascade,
    "KolorsPipeline": unets.kolors,
    "KolorsPAGPipeline": partial(unets.kolors, "KolorsPAGPipeline"),
    "DreamLitePipeline": unets.dreamlite,
    "DreamLiteMobilePipeline": partial(unets.dreamlite, "DreamLiteMobilePipeline"),
    "PixArtSigmaPAGPipeline": transformers.pixart_pag,
    "FluxKontextPipeline": transformers.flux_kontext,
    "HunyuanDiTPipeline": transformers.hunyuan_dit,
    "HunyuanDiTPAGPipeline": partial(transformers.hunyuan_dit, "HunyuanDiTPAGPipeline", pag_applied_layers="blocks.1"),
    "SanaPipeline": transformers.sana,
    "SanaPAGPipeline": partial(transformers.sana, "SanaPAGPipeline"),
    "SanaSprintPipeline": partial(transformers.sana, "SanaSprintPipeline"),
    "AuraFlowPipeline": transformers.aura,
    "LuminaPipeline": transformers.lumina,
    "Lumina2Pipeline": transformers.lumina2,
    "ChromaPipeline": transformers.chroma,
    "CogView3PlusPipeline": transformers.cogview3,
    "PRXPipeline": pixels.prx,
    "PRXPixelPipeline": partial(pixels.prx, "PRXPixelPipeline"),
    "AmusedPipeline": pixels.amused,
    "BriaPipeline": transformers.bria,
    "Flux2Pipeline": flows.flux2,
    "Flux2KleinPipeline": partial(flows.flux2, "Flux2KleinPipeline"),
    "Ideogram4Pipeline": qwen.ideogram4,
    "Krea2Pipeline": qwen.krea2,
    "NucleusMoEImagePipeline": qwen.nucleus,
    "QwenImagePipeline": qwen.qwen_image,
    "QwenImage21Pipeline": qwen.qwen_image21,
    "ZImagePipeline": flows.z_image,
    "ZImageOmniPipeline": flows.z_image_omni,
    "OvisImagePipeline": flows.ovis,
    "LongCatImagePipeline": qwen.longcat,
    "ErnieImagePipeline": flows.ernie,
    "CogView4Pipeline": flows.cogview4,
    "HiDreamImagePipeline": flows.hidream,
    "HunyuanImagePipeline": flows.hunyuan_image,
    "BriaFiboPipeline": flows.fibo,
    "BriaFibo2Pipeline": qwen.fibo2,
    "Kandinsky5T2IPipeline": flows.kandinsky5,
}

WUERSTCHEN = ("PaellaVQModel", "WuerstchenPrior", "WuerstchenDiffNeXt")


def save_class(name: str, folder: Path, seed: int = 0) -> Path:
    """Write a tiny pipeline of the class `name` below `folder`; returns its directory."""
    torch.manual_seed(seed)
    directory = folder / name
    CLASSES[name]().save_pretrained(directory)
    _name_as_published(directory / "model_index.json")
    return directory


def _name_as_published(index: Path) -> None:
    """Saving names some parts by where diffusers keeps them now; the directories on the hub say otherwise."""
    named = json.loads(index.read_text())
    for part, value in named.items():
        if isinstance(value, list) and value[1] in WUERSTCHEN:
            named[part] = ["wuerstchen", value[1]]
    index.write_text(json.dumps(named))
