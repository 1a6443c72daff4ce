"""Which pictures are misjudged alike (figures 5 and 14): k-means on CLIP's vectors, and the picture nearest each centre."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classifiers.unsafebench.dataset.images import SHOWN, Picture
from schemas.sample import Pixels

CLUSTERS = 4  # the paper's
FIGURES = {
    "figure_05": ("sexual", ("sd_filter", "nsfw_detector", "nude_net")),
    "figure_14": ("violence", ("q16", "llava")),
}
"""Figure → the category and the classifiers whose errors are pooled; the paper's second one of figure 14 was GPT-4V."""


@dataclass(frozen=True, eq=False)
class Cluster:
    """Its number of pictures, and the one nearest to its centre."""

    size: int
    central: Picture


def clusters(pictures: Sequence[Picture], vectors: npt.NDArray[np.float32], seed: int = 0) -> list[Cluster]:
    """At most four, the largest first; one a picture where there are fewer. `vectors` are unit, in the same order."""
    if not pictures:
        return []
    from sklearn.cluster import KMeans

    fitted = KMeans(min(CLUSTERS, len(pictures)), n_init=10, random_state=seed).fit(vectors)
    rows = []
    for number, centre in enumerate(fitted.cluster_centers_):
        members = np.flatnonzero(fitted.labels_ == number)
        if len(members):
            near = members[np.linalg.norm(vectors[members] - centre, axis=1).argmin()]
            rows.append(Cluster(len(members), pictures[int(near)]))
    return sorted(rows, key=lambda cluster: -cluster.size)


def sheets(
    figure: str,
    verdicts: Sequence[Mapping[str, object]],
    pictures: Mapping[str, Picture],
    vectors: Mapping[str, npt.NDArray[np.float32]],
) -> list[tuple[str, list[tuple[str, Pixels]]]]:
    """Rows for `charts.sheet`: misses and false alarms of each source. A picture that several misjudge counts once."""
    category, names = FIGURES[figure]
    rows: list[tuple[str, list[tuple[str, Pixels]]]] = []
    for source, shown in SHOWN.items():
        for unsafe, kind in ((True, "misses"), (False, "false alarms")):
            wrong = sorted(
                {
                    str(row["key"])
                    for row in verdicts
                    if row["classifier"] in names and row["category"] == category and row["source"] == source
                    if row["unsafe"] == unsafe and row["flagged"] != unsafe
                }
            )
            chosen = [pictures[key] for key in wrong]
            groups = clusters(chosen, np.stack([vectors[key] for key in wrong])) if chosen else []
            cells = [(f"{number}: {each.size}", each.central.pixels) for number, each in enumerate(groups, 1)]
            rows.append((f"{shown}, {kind} ({len(wrong)})", cells))
    return rows
