"""Pipelines as one file in the layout of their first authors (CompVis' and Stability's), as communities publish them."""

import re
from pathlib import Path
from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
UNET = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}
OPEN_CLIP = {
    "embeddings.position_embedding.weight": "positional_embedding",
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "final_layer_norm": "ln_final",
    "encoder.layers.": "transformer.resblocks.",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    ".fc1": ".c_fc",
    ".fc2": ".c_proj",
    ".self_attn": ".attn",
}


def unet_keys(unet: Any) -> Tensors:
    """Below `model.diffusion_model.`."""
    steps = unet.config.layers_per_block + 1
    attentive = [hasattr(block, "attentions") for block in unet.up_blocks]
    found = {}
    for name, tensor in unet.state_dict().items():
        for ours, theirs in UNET.items():
            name = re.sub(rf"^{re.escape(ours)}\.", f"{theirs}.", name)
        if place := re.match(
            r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.*)", name
        ):
            side, block, kind, layer, rest = place[1], int(place[2]), place[3], int(place[4]), place[5]
            last = kind in ("downsamplers", "upsamplers")
            at = block * steps + (steps - 1 if last else layer) + (side == "down")
            slot = {"resnets": "0", "attentions": "1", "downsamplers": "0"}.get(kind, "2" if attentive[block] else "1")
            rest = rest.replace("conv.", "op.") if kind == "downsamplers" else rest
            name = f"{'input' if side == 'down' else 'output'}_blocks.{at}.{slot}.{rest}"
        if not re.search(r"transformer_blocks", name):
            for ours, theirs in RESNET.items():
                name = name.replace(f".{ours}.", f".{theirs}.")
        found[f"model.diffusion_model.{name}"] = tensor
    return found


def vae_keys(vae: Any) -> Tensors:
    """Below `first_stage_model.`; attention as 1 x 1 convolutions."""
    last = len(vae.config.up_block_types) - 1
    found = {}
    for name, tensor in vae.state_dict().items():
        if "attentions.0" in name:
            tensor = tensor[..., None, None] if name.endswith("weight") and "to_" in name else tensor
            for ours, theirs in {
                "group_norm": "norm",
                "to_q": "q",
                "to_k": "k",
                "to_v": "v",
                "to_out.0": "proj_out",
            }.items():
                name = name.replace(f".{ours}.", f".{theirs}.")
        name = re.sub(r"up_blocks\.(\d+)\.", lambda block: f"up.{last - int(block[1])}.", name)
        name = re.sub(r"down_blocks\.(\d+)\.", r"down.\1.", name)
        name = re.sub(r"(up|down)samplers\.0", r"\1sample", name)
        name = re.sub(r"mid_block\.resnets\.(\d)", lambda block: f"mid.block_{int(block[1]) + 1}", name)
        for ours, theirs in {
            "mid_block.attentions.0": "mid.attn_1",
            "resnets": "block",
            "conv_norm_out": "norm_out",
        }.items():
            name = name.replace(ours, theirs)
        found[f"first_stage_model.{name.replace('conv_shortcut', 'nin_shortcut')}"] = tensor
    return found


def clip_keys(encoder: Any, prefix: str) -> Tensors:
    """As transformers calls them, below `prefix`."""
    plain = {name.removeprefix("text_model."): tensor for name, tensor in encoder.state_dict().items()}
    return {f"{prefix}text_model.{name}": tensor for name, tensor in plain.items()}


def open_clip_keys(encoder: Any, prefix: str) -> Tensors:
    """As OpenCLIP calls them: query, key and value in one matrix."""
    state = {name.removeprefix("text_model."): tensor for name, tensor in encoder.state_dict().items()}
    found = {f"{prefix}text_projection": state.pop("text_projection.weight").T}
    for name, tensor in state.items():
        if ".k_proj" in name or ".v_proj" in name:
            continue
        for ours, theirs in OPEN_CLIP.items():
            name = name.replace(ours, theirs)
        if ".q_proj" in name:
            own = next(key for key in state if state[key] is tensor)
            tensor = torch.cat([tensor, *(state[own.replace("q_proj", part)] for part in ("k_proj", "v_proj"))])
            name = name.replace(".q_proj.", ".in_proj_")
        found[prefix + name.replace(".attn.c_proj", ".attn.out_proj").replace(".mlp.fc", ".mlp.c_fc")] = tensor
    return found


def save_original(pipeline: Any, file: Path) -> Path:
    """A Stable Diffusion, or XL, as one file."""
    from safetensors.torch import save_file

    tensors = unet_keys(pipeline.unet) | vae_keys(pipeline.vae)
    if hasattr(pipeline, "text_encoder_2"):
        tensors |= clip_keys(pipeline.text_encoder, "conditioner.embedders.0.transformer.")
        tensors |= open_clip_keys(pipeline.text_encoder_2, "conditioner.embedders.1.model.")
    else:
        tensors |= clip_keys(pipeline.text_encoder, "cond_stage_model.transformer.")
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, file)
    return file


def configs_alone(directory: Path, folder: Path) -> Path:
    """A copy of a pipeline's directory without any weights."""
    for file in directory.rglob("*"):
        if file.is_file() and file.suffix != ".safetensors":
            place = folder / file.relative_to(directory)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.read_bytes())
    return folder
