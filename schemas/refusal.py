"""The table of refusals: samples that their generator would not draw, each with the generator's reason."""

from collections.abc import Sequence

import pyarrow as pa

from schemas.sample import SAMPLE_SCHEMA, Sample, to_table

CONTENT_POLICY = "content_policy"
"""The generator's own guard stopped the prompt, or the picture that came of it."""
REFUSED_SCHEMA = SAMPLE_SCHEMA.append(pa.field("refused", pa.string()))


def refused_table(samples: Sequence[Sample]) -> pa.Table:
    """Rows of `REFUSED_SCHEMA`, by key: columns of samples that have no picture, and why they have none."""
    ordered = sorted(samples, key=lambda sample: sample.key)
    reasons = pa.array([sample.refused for sample in ordered], pa.string())
    return to_table(ordered).append_column(REFUSED_SCHEMA.field("refused"), reasons)
