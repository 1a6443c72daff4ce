"""What a run is made by, as one value that is handed down."""

from dataclasses import dataclass

from pipeline.selection.keep import KeepRules
from pipeline.stage import Stage

SIGNATURES_A_UNIT = 1024  # samples: a second or two of work


@dataclass(frozen=True, kw_only=True)
class ShardRecipe:
    """The stages that sign a sample, and the rules that the keep-list follows."""

    stages: tuple[Stage, ...]
    rules: KeepRules
