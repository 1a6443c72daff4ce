"""Pictures to train a concept reader on, drawn anew for every batch: nothing that tests hold out is ever shown."""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from classifiers.layers.concept_reader import GRID, ReaderConfig, Rule
from pipeline.storage.image_codec import decode
from stages.world.draw import draw
from stages.world.grammar import LIMIT, prompt_at
from stages.world.reader import read
from stages.world.scene import Scene, compose
from stages.world.training.negatives import blank, noise, unknown
from stages.world.training.scene_batches import SceneMixture, cells, pictures, sample_scene
from stages.world.vocabulary import BY_NAME, STYLES, VOCABULARY

HELD_OUT_CONCEPTS = ("ogre", "dna", "octopus")  # as the shard recipe of the world holds out; a test compares
HELD_OUT_STYLES = ("vintage",)

SHOWN = tuple(concept for concept in VOCABULARY if concept.name not in HELD_OUT_CONCEPTS)
CONCEPTS = tuple(concept.name for concept in SHOWN)
TRAINED_STYLES = tuple(style for style in STYLES if style not in HELD_OUT_STYLES)
_COLUMN = np.array([-1 if c.name in HELD_OUT_CONCEPTS else CONCEPTS.index(c.name) for c in VOCABULARY])
_TURNED = tuple((c.name, partner) for c in SHOWN for partner in c.partners if partner in CONCEPTS)
_AMBIVALENT = tuple(c for c in SHOWN if c.kind == "ambivalent")
_MIXTURE = SceneMixture(pairs=0.5, triples=0.14, plain=0.4, normal=0.55, clutter=0.12, core=1.0)

Pixels = npt.NDArray[np.uint8]


def reader_config() -> ReaderConfig:
    """The world's truth of a picture as rules: an unsafe concept, or an ambivalent one beside a partner."""
    alone = [Rule(concept.category, (concept.name,)) for concept in SHOWN if concept.kind == "unsafe"]
    beside = [Rule(BY_NAME[name].category, (name, partner)) for name, partner in _TURNED]
    return ReaderConfig(CONCEPTS, (*alone, *beside))


@dataclass(frozen=True, eq=False)
class ConceptPictures:
    """`pixels` uint8 [n, 64, 64, 3], `concepts` bool [n, concepts], `cells` int64 [n, 8, 8]: 0 for ground, -1 where unknown."""

    pixels: Pixels
    concepts: npt.NDArray[np.bool_]
    cells: npt.NDArray[np.int64]


def draw_batch(seed: Sequence[int], count: int, *, degraded: bool = True) -> ConceptPictures:
    """`count` pictures of `seed`: a third as grammar prompts ask, a quarter without any concept, the rest composed at random."""
    rng = np.random.default_rng(list(seed))
    ways = rng.choice(len(_WAYS), count, p=[share for share, _ in _WAYS])
    scenes = [_WAYS[way][1](rng) for way in ways]
    pixels = [draw(each, pictures()) if isinstance(each, Scene) else each for each in scenes]
    if degraded:
        pixels = [degrade(each, rng) for each in pixels]
    seen = [each if isinstance(each, Scene) else Scene((), "red", "blue") for each in scenes]
    return ConceptPictures(np.stack(pixels), _labels(seen), _cells(seen))


def training_scenes(rng: np.random.Generator) -> Iterator[Scene]:
    """What batches show where they show a scene, without an end."""
    while True:
        way = _WAYS[int(rng.choice(len(_WAYS), p=[share for share, _ in _WAYS]))][1]
        if isinstance(scene := way(rng), Scene):
            yield scene


def draw_prompted(seed: int, count: int, vendor: str = "noto") -> ConceptPictures:
    """`count` pictures as prompts of the grammar ask for, as drawn: what a run's pictures are like, for figures."""
    rng = np.random.default_rng(seed)
    return labelled([_as_prompted(rng) for _ in range(count)], vendor)


def labelled(scenes: Sequence[Scene], vendor: str = "noto") -> ConceptPictures:
    """The scenes' pictures; a concept that is held out is shown and has no label."""
    return ConceptPictures(
        np.stack([draw(scene, pictures(vendor)) for scene in scenes]), _labels(scenes), _cells(scenes)
    )


def _labels(scenes: Sequence[Scene]) -> npt.NDArray[np.bool_]:
    labels = np.zeros((len(scenes), len(CONCEPTS)), dtype=np.bool_)
    for row, scene in enumerate(scenes):
        for name in scene.concepts:
            if name in CONCEPTS:
                labels[row, CONCEPTS.index(name)] = True
    return labels


def _cells(scenes: Sequence[Scene]) -> npt.NDArray[np.int64]:
    """Those of the world's training, numbered as the outputs here are."""
    columns = np.concatenate([[0], _COLUMN + 1])  # what is held out counts as ground
    cells_of_scenes: npt.NDArray[np.int64] = columns[cells(scenes, GRID).numpy()]
    return cells_of_scenes


def _admitted(scene: Scene) -> bool:
    return scene.style not in HELD_OUT_STYLES and not set(scene.concepts) & set(HELD_OUT_CONCEPTS)


def _at_random(rng: np.random.Generator) -> Scene:
    while True:
        if _admitted(scene := sample_scene(rng, _MIXTURE)):
            return scene


def _as_prompted(rng: np.random.Generator) -> Scene:
    """What the renderer would draw for a prompt of the grammar."""
    while True:
        request = read(prompt_at(int(rng.integers(2**31)), int(rng.integers(LIMIT))).generation_prompt)
        scene = compose(
            rng, request.concepts, colour=request.colour, second_colour=request.second_colour, ground=request.ground,
            style=request.style, stacked=request.stacked, clutter=request.clutter,
        )  # fmt: skip
        if _admitted(scene):
            return scene


def _together(rng: np.random.Generator, names: Sequence[str]) -> Scene:
    order = rng.permutation(len(names))
    style = STYLES[0] if rng.random() < _MIXTURE.normal else str(rng.choice(TRAINED_STYLES))
    return compose(
        rng,
        [names[place] for place in order],
        style=style,
        stacked=len(names) == 2 and bool(rng.random() < 0.3),
        clutter=bool(rng.random() < _MIXTURE.clutter),
    )


def _turned(rng: np.random.Generator) -> Scene:
    return _together(rng, _TURNED[int(rng.integers(len(_TURNED)))])


def _nearly_turned(rng: np.random.Generator) -> Scene:
    """An ambivalent concept beside one that does not turn it; a partner beside another than its own."""
    concept = _AMBIVALENT[int(rng.integers(len(_AMBIVALENT)))]
    return _together(rng, [concept.name, str(rng.choice([c for c in CONCEPTS if c != concept.name]))])


def _unknown(rng: np.random.Generator) -> Pixels:
    return unknown(rng, styles=TRAINED_STYLES)


def _blank(rng: np.random.Generator) -> Pixels:
    return blank(rng, styles=TRAINED_STYLES)


_WAYS: tuple[tuple[float, Callable[[np.random.Generator], Scene | Pixels]], ...] = (
    (0.29, _as_prompted),
    (0.20, _at_random),
    (0.10, _turned),
    (0.08, _nearly_turned),
    (0.29, _unknown),
    (0.03, _blank),
    (0.01, noise),
)


def degrade(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """As files in a pipeline are: JPEG, blur, noise, cut at the edge or shrunk and enlarged; six in ten stay as they are."""
    die = rng.random()
    if die < 0.6:
        return picture
    image = Image.fromarray(picture)
    side = picture.shape[0]
    if die < 0.72:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=int(rng.integers(20, 95)))
        image = Image.fromarray(decode(file.getvalue(), "jpg"))
    elif die < 0.8:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.2))))
    elif die < 0.9:
        noise_added = picture + rng.normal(0.0, rng.uniform(1.0, 24.0), picture.shape)
        noisy: Pixels = np.rint(noise_added.clip(0, 255)).astype(np.uint8)
        return noisy
    elif die < 0.95:
        left, top, right, bottom = rng.integers(0, 5, 4)
        image = image.resize((side, side), Image.Resampling.BILINEAR, (left, top, side - right, side - bottom))
    else:
        smaller = int(rng.integers(32, side))
        image = image.resize((smaller, smaller), Image.Resampling.BILINEAR).resize(
            (side, side), Image.Resampling.BICUBIC
        )
    return np.asarray(image, dtype=np.uint8)
