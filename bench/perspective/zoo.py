"""The classifiers that UnsafeBench compares with, as `jobs/unsafebench.py` fits them: a minute of one core.

They learn from other prompts than any set here, yet most sets are less new to them than to the methods: their school has all
styles and concepts, for MultiHeaded in the first vendor's drawings, for the others in the second's.
"""

from bench.perspective.sets import SIDE
from classifiers.layers.encoder import ClipEncoder
from classifiers.unsafebench.judges.fitted_zoo import COUNT, world_zoo
from pipeline.storage.weights import model_directory
from schemas.protocols import Differentiable

ZOO = ("q16", "multi_headed", "sd_filter", "nsfw_detector", "nude_net", "q16+nude_net")


def zoo(school: int = COUNT) -> dict[str, Differentiable]:
    """By name; `school` training pictures a source."""
    fitted = world_zoo(ClipEncoder.from_directory(model_directory("assets/world/clip")), SIDE, school)
    return {judge.name: judge for judge in fitted}
