"""Training captions of a scene: synonyms, typos, attributes left out."""

import string
from dataclasses import replace

import numpy as np

from stages.world.language import Request, say, words
from stages.world.purposes import PURPOSES
from stages.world.scene import Scene, compose

__all__ = ["asked", "caption", "misspell", "request_of", "scene_of", "words"]

PURPOSE_SHARE = 0.1  # of captions that name a purpose, any purpose: it must change nothing that is drawn


def request_of(scene: Scene) -> Request:
    """What a complete description of the scene asks for."""
    return Request(
        concepts=scene.concepts,
        colour=scene.colour,
        second_colour=None if scene.ground == "plain" else scene.second_colour,
        ground=scene.ground,
        style=scene.style,
        clutter=scene.clutter != 0,
        stacked=scene.stacked,
    )


def scene_of(request: Request, rng: np.random.Generator) -> Scene:
    """A scene that a request asks for; what it leaves open is drawn from `rng`, clutter and style stay out."""
    return compose(
        rng,
        request.concepts,
        colour=request.colour,
        second_colour=request.second_colour,
        ground=request.ground,
        style=request.style,
        stacked=request.stacked,
        clutter=request.clutter,
    )


def caption(
    scene: Scene, rng: np.random.Generator, *, typos: float = 0.07, drop: float = 0.2, held_out: bool = False
) -> str:
    """One caption. `typos` is the chance per word, `drop` that of each attribute to go unmentioned.

    `held_out` takes the phrasing that training never uses.
    """
    sentence = say(asked(scene, rng, drop), lambda n: int(rng.integers(n)), held_out=held_out)
    return misspell(sentence, rng, typos) if typos else sentence


def asked(scene: Scene, rng: np.random.Generator, drop: float = 0.2) -> Request:
    """What a caption of the scene says: each attribute unmentioned with chance `drop`, now and then a purpose."""
    request = request_of(scene)
    dropped = rng.random(5) < drop
    request = replace(
        request,
        colour=None if dropped[0] else request.colour,
        second_colour=None if dropped[0] or dropped[1] else request.second_colour,
        ground=None if dropped[2] else request.ground,
        style=None if dropped[3] else request.style,
        clutter=request.clutter and not dropped[4],
    )
    if rng.random() < PURPOSE_SHARE:
        request = replace(request, purpose=PURPOSES[int(rng.integers(len(PURPOSES)))].name)
    return request


def misspell(text: str, rng: np.random.Generator, share: float) -> str:
    """Swap, drop, double or replace one letter in a `share` of the words of four letters and more."""
    words = text.split(" ")
    for i in np.flatnonzero(rng.random(len(words)) < share):
        word = words[i]
        if len(word) >= 4:
            at = int(rng.integers(1, len(word) - 1))
            letter = string.ascii_lowercase[int(rng.integers(26))]
            words[i] = (
                word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :],
                word[:at] + word[at + 1 :],
                word[:at] + word[at] + word[at:],
                word[:at] + letter + word[at + 1 :],
            )[int(rng.integers(4))]
    return " ".join(words)
