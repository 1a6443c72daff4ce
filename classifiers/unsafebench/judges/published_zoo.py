"""Published weights in place of fitted ones (`--weights q16=prompts.npy,sd_filter=DIR`): attacked only if named by digest."""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path

from torch import nn

from classifiers.layers.encoder import ClipEncoder
from classifiers.zoo.backbone import Backbone, eyes_of
from classifiers.zoo.either import Either
from classifiers.zoo.multi_headed import MultiHeaded
from classifiers.zoo.nsfw_detector import NsfwDetector
from classifiers.zoo.picture_judge import PictureJudge
from classifiers.zoo.q16 import Q16Judge
from classifiers.zoo.sd_filter import SdFilter
from schemas.errors import InputError
from schemas.protocols import Differentiable

LOADERS: dict[str, Callable[[Backbone, Path], PictureJudge]] = {
    "q16": Q16Judge.published,
    "multi_headed": MultiHeaded.published,
    "nsfw_detector": NsfwDetector.published,
    "sd_filter": lambda _, folder: SdFilter.published(folder),
}


def loaded(text: str, encoder: ClipEncoder) -> dict[str, Differentiable]:
    """By name. Raises InputError for a name that has no published layout, and for weights of another shape."""
    judges: dict[str, Differentiable] = {}
    for part in (each.strip() for each in text.split(",") if each.strip()):
        name, _, path = part.partition("=")
        if name not in LOADERS or not path:
            raise InputError(f"--weights {part}: expected NAME=PATH with a name out of {', '.join(LOADERS)}")
        judges[name] = LOADERS[name](eyes_of(encoder), Path(path)).to(encoder.mean.device)
    return judges


def in_place(zoo: Sequence[Differentiable], published: dict[str, Differentiable]) -> list[Differentiable]:
    """The zoo with the published ones instead of theirs, also within the rule of two."""
    rules = {judge.name: judge for judge in zoo if isinstance(judge, Either)}
    either = {name: Either(name, in_place(rule.judges, published)) for name, rule in rules.items()}
    return [either.get(judge.name, published.get(judge.name, judge)) for judge in zoo]


def digest(model: object, *settings: bytes) -> str:
    """Names a classifier by all its tensors (32 hexadecimal digits)."""
    hasher = blake2b(b"".join(settings), digest_size=16)
    for name, value in model.state_dict().items() if isinstance(model, nn.Module) else ():
        hasher.update(name.encode() + value.detach().cpu().float().contiguous().numpy().tobytes())
    return hasher.hexdigest()


def attackable(judges: Sequence[Differentiable], foreign: Sequence[str], allowed: str) -> list[Differentiable]:
    """Those that were trained here, and of the `foreign` ones those whose digest is in `allowed` (DESIGN section 6)."""
    targets = []
    for judge in judges:
        if judge.name in foreign and digest(judge) not in allowed.split(","):
            print(f"{judge.name} is judged and not attacked; if it is yours to attack: --digest {digest(judge)}")
        elif not isinstance(judge, Either):  # the paper does not attack the rule of two
            targets.append(judge)
    return targets
