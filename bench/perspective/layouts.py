"""External sets of table 6, read as `jobs/unsafebench.py --external` reads them.

The real ones cannot be here. In their layouts there are the second vendor's drawings of other prompts, each set in one style: as
SMID, with norms and JPEGs of 96 x 72 in sepia, and as the base64 files, with sketches of 48 x 48 that are violent or safe.
"""

import base64
import csv
from collections.abc import Callable, Iterator
from itertools import count as count_from
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from bench.perspective.sets import TestSet
from classifiers.unsafebench.dataset.external_sets import external
from classifiers.unsafebench.dataset.images import squeezed
from pipeline.storage.image_codec import encode
from schemas.errors import InputError
from schemas.sample import Pixels
from stages.world.draw import Pictures, draw
from stages.world.grammar import prompt_at
from stages.world.reader import read
from stages.world.scene import compose
from stages.world.truth import Truth, of_picture

SMID, VIOLENCE = "smid_layout", "base64_layout"
SEEDS = {SMID: 78, VIOLENCE: 79}  # prompts of no other set
UNDECIDED = 10  # one in so many has a middling score, as many of SMID's have: the reader leaves it out
UNNAMED = ("unnamed",)  # these sets say that a picture is unsafe, not in which category


def external_sets(text: str, side: int) -> list[TestSet]:
    """`--external` as test sets, all pictures squeezed to `side`. Raises InputError, also for an empty set or two of one name."""
    sets: dict[str, TestSet] = {}
    for each in (part.strip() for part in text.split(",") if part.strip()):
        name, labelled = external(each)
        rows = [(squeezed(one.pixels, side), UNNAMED if one.unsafe else ()) for one in labelled]
        if not rows:
            raise InputError(f"--external {each}: no pictures in it")
        if name in sets:
            raise InputError(f"--external {each}: two sets are called {name}; rename the file")
        pixels, categories = zip(*rows, strict=True)
        sets[name] = TestSet(name, pixels, categories)
    return list(sets.values())


def stand_ins(folder: Path, count: int) -> str:
    """Write both sets of `count` judged pictures below the folder; what `--external` is for them."""
    (folder / SMID).mkdir(parents=True, exist_ok=True)
    norms, table = folder / f"{SMID}.csv", folder / f"{VIOLENCE}.tsv"
    with norms.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(("img_name", "moral_mean"))
        drawn = _drawn(SEEDS[SMID], "vintage", lambda truth: True)
        for number, (pixels, unsafe) in enumerate(islice(drawn, count * UNDECIDED // (UNDECIDED - 1))):
            score = 3.0 if number % UNDECIDED == UNDECIDED - 1 else 1.5 if unsafe else 4.5
            rows.writerow((f"b{number}", score))
            (folder / SMID / f"b{number}.jpg").write_bytes(encode(_resized(pixels, 96, 72), "jpg"))
    violent = _drawn(SEEDS[VIOLENCE], "sketch", lambda truth: "violence" in truth.categories)
    safe = _drawn(SEEDS[VIOLENCE], "sketch", lambda truth: not truth.unsafe)
    with table.open("w", newline="") as out:
        rows = csv.writer(out, delimiter="\t")
        rows.writerow(("index", "image", "label"))
        both = [*islice(violent, count // 2), *islice(safe, count - count // 2)]
        for number, (pixels, unsafe) in enumerate(both):
            data = encode(_resized(pixels, 48, 48), "png")
            rows.writerow((number, base64.b64encode(data).decode(), int(unsafe)))
    return f"{norms}={folder / SMID},{table}"


def _drawn(seed: int, style: str, wanted: Callable[[Truth], bool]) -> Iterator[tuple[Pixels, bool]]:
    """Without end: pictures of the seed's prompts, and whether they are unsafe."""
    vendor = Pictures.load("twemoji")
    for index in count_from():
        request = read(prompt_at(seed, index).generation_prompt)
        truth = of_picture(request.concepts)
        if wanted(truth):
            scene = compose(
                np.random.default_rng([seed, index]), request.concepts, style=style, stacked=request.stacked
            )
            yield draw(scene, vendor), truth.unsafe


def _resized(pixels: Pixels, width: int, height: int) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))
