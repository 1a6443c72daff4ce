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

from bench.world.figures import Figure, resampled, share
from bench.world.models import BATCH, Models, tag
from bench.world.scenes import NAMES
from bench.world.tagging import NONE
from stages.world import truth
from stages.world.captions import misspell
from stages.world.grammar import GrammarPrompt, prompts
from stages.world.training.generation_accuracy import STEPS, generate
from stages.world.vocabulary import VOCABULARY

TRAIN, TEST = 800, 240
TEST_FROM = 70_000  # of the grammar's prompts; the features were chosen on others
TYPOS = (0.0, 0.3, 0.6)  # chance that a word of four letters or more is misspelt in the test prompts


def _states(pipe: Any, texts: list[str]) -> Tensor:
    tokens = pipe.tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")
    states: Tensor = pipe.text_encoder(tokens.input_ids).last_hidden_state
    return states


@torch.no_grad()
def features(pipe: Any, texts: list[str], seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """What the prompt changes at the first step, largest and smallest over positions: [N, 2 x 1088].

    Of every head of every cross-attention and of the middle block: the state under the prompt less that under no prompt
    (guidance computes both anyway), from the noise that `models.generate` begins with for these seeds. The noise is taken
    out so, and a small thing counts as much as a large one; means over positions told less (.73 against .79, n = 400).
    """
    caught: list[Tensor] = []

    def of_heads(module: Any, arguments: Any) -> None:
        caught.append(arguments[0])

    def of_middle(module: Any, arguments: Any, output: Tensor) -> None:
        caught.append(output.flatten(2).transpose(1, 2))

    crossings = [m for name, m in pipe.unet.named_modules() if name.endswith("attn2")]
    hooks = [m.to_out[0].register_forward_pre_hook(of_heads) for m in crossings]
    hooks.append(pipe.unet.mid_block.register_forward_hook(of_middle))
    pipe.scheduler.set_timesteps(STEPS)
    empty, rows = _states(pipe, [""]), []
    for start in range(0, len(texts), BATCH):
        some = texts[start : start + BATCH]
        seeds = range(seed + start, seed + start + len(some))
        noise = torch.cat([torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(s)) for s in seeds])
        states = torch.cat([_states(pipe, some), empty.expand(len(some), -1, -1)])
        caught.clear()
        pipe.unet(torch.cat([noise, noise]), pipe.scheduler.timesteps[0], encoder_hidden_states=states)
        changes = [torch.sub(*state.chunk(2)) for state in caught]
        rows.append(torch.cat([part for c in changes for part in (c.amax(dim=1), c.amin(dim=1))], dim=1))
    for hook in hooks:
        hook.remove()
    stacked: np.ndarray[Any, np.dtype[np.float32]] = torch.cat(rows).numpy()
    return stacked


@dataclass(frozen=True)
class _Readers:
    """Two ways to tell a prompt's class: a linear probe on features, and a bag of words."""

    probe: Any
    words: Any

    @classmethod
    def fitted(cls, seen: Any, texts: list[str], labels: list[str]) -> _Readers:
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=400)).fit(seen, labels)
        words = make_pipeline(CountVectorizer(), LogisticRegression(C=10.0, max_iter=400)).fit(texts, labels)
        return cls(probe, words)


def _spoken(count: int, start: int) -> list[GrammarPrompt]:
    """Prompts that say what they draw (all kinds but confounders)."""
    drawn = (p for p in prompts(71, 3 * count + start, start=start) if p.prompt == p.generation_prompt)
    return [p for p, _ in zip(drawn, range(count), strict=False)]


def shown(models: Models, texts: list[str], seed: int) -> tuple[list[str], list[str]]:
    """What the finished pictures show, by the tagger's thresholds: safe / unsafe, and the category of what is surest."""
    seen = tag(models, generate(models.pipe, texts, seed))
    over = seen[:, :NONE] >= models.thresholds[:NONE]
    named = [[NAMES[i] for i in row.nonzero().flatten().tolist()] for row in over]
    labels = ["unsafe" if truth.of_picture(names).unsafe else "safe" for names in named]
    surest = [
        VOCABULARY[int(i)].category if o.any() else "none" for i, o in zip(seen[:, :NONE].argmax(1), over, strict=True)
    ]
    return labels, surest


def probe(models: Models) -> dict[str, Figure]:
    """Accuracy of both readers for prompts with more and more typos; both are fitted and judged on the same labels.

    `picture`, `surest`: what the finished picture shows, which is what a filter must know and what no prompt says for sure.
    `prompt`: whether the prompt as it was meant asks for something unsafe, which is a bag of words' own ground.
    """
    rng = np.random.default_rng(70_005)
    train, test = _spoken(TRAIN, 0), _spoken(TEST, TEST_FROM)
    texts = [misspell(p.prompt, rng, float(rng.choice((0.0, 0.07, 0.3)))) for p in train]
    caught = features(models.pipe, texts, 0)
    wanted = dict(zip(("picture", "surest"), shown(models, texts, 0), strict=True)) | {
        "prompt": [p.label for p in train]
    }
    readers = {name: _Readers.fitted(caught, texts, labels) for name, labels in wanted.items()}
    figures: dict[str, Figure] = {}
    for round_, typos in enumerate(TYPOS):
        broken, seed = [misspell(p.prompt, rng, typos) for p in test], (1 + round_) * 1_000_000
        caught = features(models.pipe, broken, seed)
        answers = dict(zip(("picture", "surest"), shown(models, broken, seed), strict=True))
        for name, labels in (answers | {"prompt": [p.label for p in test]}).items():
            figures |= _compared(readers[name], caught, broken, labels, f"{name}_typos_{typos:g}")
    return figures


def _compared(reader: _Readers, caught: Any, texts: list[str], labels: list[str], key: str) -> dict[str, Figure]:
    """Accuracy of the probe and of the words, the margin between them, and the share of the commonest label."""
    answers = np.array(labels)
    probed, bagged = reader.probe.predict(caught) == answers, reader.words.predict(texts) == answers
    margin = probed.astype(float) - bagged.astype(float)
    commonest = max(labels.count(label) for label in set(labels)) / len(labels)
    return {
        f"probe_{key}": share(probed) | {"commonest": round(commonest, 4)},
        f"words_{key}": share(bagged),
        f"margin_{key}": resampled(lambda i: float(margin[i].mean()), len(margin)),
    }


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
