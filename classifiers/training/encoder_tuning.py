"""Which of an encoder's weights are trained: none, all, or low-rank additions to them (LoRA, arXiv 2106.09685, section 4.1)."""

from typing import Any

import torch
from torch import nn

from classifiers.classifier import Classifier
from classifiers.layers.encoder import ClipEncoder
from classifiers.training.config import Settings


def encoders_of(model: nn.Module) -> list[ClipEncoder]:
    """The encoders inside."""
    return [module for module in model.modules() if isinstance(module, ClipEncoder)]


def tune_encoders(model: Classifier, settings: Settings) -> None:
    """Let `settings` say what is trained. With `encoder_lora`, every linear layer gets an addition of that rank, 0 at first."""
    for encoder in encoders_of(model):
        encoder.requires_grad_(settings.tune_encoder and not settings.encoder_lora)
        if not settings.tune_encoder:
            continue
        if settings.gradient_checkpointing:
            for tower in _towers(encoder):
                tower.activation_checkpointing_enable({"use_reentrant": False})
        if settings.encoder_lora:
            _add_lora(encoder, settings)


def merge_lora(model: Classifier) -> None:
    """Add the additions to the weights they stand beside: what is left is the encoder's own classes, tuned."""
    from peft.tuners.lora import LoraLayer

    for encoder in encoders_of(model):
        for name, module in list(encoder.named_modules()):
            if isinstance(module, LoraLayer):
                module.merge()
                parent, _, own = name.rpartition(".")
                setattr(encoder.get_submodule(parent), own, module.get_base_layer())


def _add_lora(encoder: nn.Module, settings: Settings) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    linear = [
        name for name, module in encoder.named_modules() if type(module) is nn.Linear
    ]  # no subclass: others read their weights by themselves
    rank = settings.encoder_lora
    with torch.random.fork_rng():  # the heads' first weights, and all draws after, stay as without
        torch.manual_seed(settings.seed)
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=linear), encoder)
    for name, value in encoder.named_parameters():
        value.requires_grad_("lora_" in name)


def _towers(encoder: nn.Module) -> list[Any]:
    """The models of transformers inside that are in no other."""
    inside = encoder.get_submodule("clip")
    return [inside] if hasattr(inside, "activation_checkpointing_enable") else list(inside.children())
