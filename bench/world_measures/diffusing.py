"""In-diffusion: what the U-Net's cross-attention knows after one of ten steps, and whether gradients reach the prompt."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from bench.world_measures.figures import Figure, resampled, share
from bench.world_measures.models import BATCH, STEPS, Models
from stages.world.captions import misspell
from stages.world.grammar import GrammarPrompt, prompts

TRAIN, TEST = 1600, 600
TYPOS = (0.0, 0.3, 0.6)  # chance that a word of four letters or more is misspelt in the test prompts


def _states(pipe: Any, texts: list[str]) -> Tensor:
    tokens = pipe.tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")
    states: Tensor = pipe.text_encoder(tokens.input_ids).last_hidden_state
    return states


@torch.no_grad()
def features(pipe: Any, texts: list[str], seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Means over positions of every cross-attention's output and of the middle block, at the first step: [N, ~1000]."""
    caught: list[Tensor] = []

    def catch(module: Any, arguments: Any, output: Tensor) -> None:
        caught.append(output.mean(dim=1) if output.ndim == 3 else output.mean(dim=(2, 3)))

    modules = [m for name, m in pipe.unet.named_modules() if name.endswith("attn2")] + [pipe.unet.mid_block]
    hooks = [module.register_forward_hook(catch) for module in modules]
    pipe.scheduler.set_timesteps(STEPS)
    rows = []
    for start in range(0, len(texts), BATCH):
        some = texts[start : start + BATCH]
        noise = torch.randn(len(some), 4, 16, 16, generator=torch.Generator().manual_seed(seed + start))
        caught.clear()
        pipe.unet(noise, pipe.scheduler.timesteps[0], encoder_hidden_states=_states(pipe, some))
        rows.append(torch.cat(caught, dim=1))
    for hook in hooks:
        hook.remove()
    found: np.ndarray[Any, np.dtype[np.float32]] = torch.cat(rows).numpy()
    return found


@dataclass(frozen=True)
class _Readers:
    """Two ways to tell a prompt's class: a linear probe on features, and a bag of words."""

    probe: Any
    words: Any

    @classmethod
    def fitted(cls, seen: Any, texts: list[str], labels: list[str]) -> _Readers:
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=400)).fit(seen, labels)
        words = make_pipeline(CountVectorizer(), LogisticRegression(C=10.0, max_iter=400)).fit(texts, labels)
        return cls(probe, words)


def _spoken(count: int, start: int) -> list[GrammarPrompt]:
    """Prompts that say what they draw (all kinds but confounders)."""
    found = (p for p in prompts(71, 3 * count + start, start=start) if p.prompt == p.drawn_prompt)
    return [p for p, _ in zip(found, range(count), strict=False)]


def probe(models: Models) -> dict[str, Figure]:
    """Accuracy on safe / unsafe and on 12 categories, for prompts with more and more typos."""
    rng = np.random.default_rng(70_005)
    train, test = _spoken(TRAIN, 0), _spoken(TEST, 50_000)
    texts = [misspell(p.prompt, rng, 0.07) for p in train]
    seen = features(models.pipe, texts, 0)
    figures: dict[str, Figure] = {}
    readers = {
        "unsafe": _Readers.fitted(seen, texts, [p.label for p in train]),
        "category": _Readers.fitted(seen, texts, [p.category for p in train]),
    }
    for typos in TYPOS:
        broken = [misspell(p.prompt, rng, typos) for p in test]
        caught = features(models.pipe, broken, 1_000_000)
        for name, reader in readers.items():
            truth = np.array([p.label if name == "unsafe" else p.category for p in test])
            probed, bagged = reader.probe.predict(caught) == truth, reader.words.predict(broken) == truth
            key = f"{name}_typos_{typos:g}"
            figures[f"probe_{key}"] = share(probed)
            figures[f"words_{key}"] = share(bagged)
            margin = probed.astype(float) - bagged.astype(float)
            figures[f"margin_{key}"] = resampled(lambda i, m=margin: float(m[i].mean()), len(margin))  # type: ignore[misc]
    return figures


def gradients(models: Models) -> dict[str, Figure]:
    """Share of the prompts' tokens whose embeddings get a gradient from the U-Net's output at the first step."""
    pipe, texts = models.pipe, [p.prompt for p in _spoken(16, 90_000)]
    tokens = pipe.tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids
    kept: list[Tensor] = []

    def keep(module: Any, arguments: Any, output: Tensor) -> None:
        output.retain_grad()
        kept.append(output)

    hook = pipe.text_encoder.embeddings.token_embedding.register_forward_hook(keep)
    started = time.perf_counter()
    with torch.enable_grad():
        for parameter in pipe.text_encoder.embeddings.parameters():
            parameter.requires_grad_(True)
        states = pipe.text_encoder(tokens).last_hidden_state
        noise = torch.randn(len(texts), 4, 16, 16, generator=torch.Generator().manual_seed(0))
        pipe.unet(noise, 999, encoder_hidden_states=states).sample.square().mean().backward()
    seconds = time.perf_counter() - started
    hook.remove()
    norms = kept[0].grad.norm(dim=-1) if kept[0].grad is not None else torch.zeros(tokens.shape)
    reached = (norms > 0)[tokens != pipe.tokenizer.pad_token_id]
    figure = share(reached.tolist())
    return {"gradients_reach_prompt_tokens": figure | {"seconds_per_prompt": round(seconds / len(texts), 4)}}
