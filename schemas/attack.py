"""What an attack was: the threat model that rides on every variant and every attack run."""

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class AttackRecord:
    """One attack as carried out on one sample. `None` means: does not apply to this attack.

    `epsilon` is in [0, 1] pixel units at the source image; `edits` counts characters or tokens changed in the prompt.
    """

    name: str  # the file in stages/attack
    family: str  # text | image | joint: what held-out families are cut by
    goal: str  # evade_text | evade_image | evade_joint | false_flag
    knowledge: str  # black_box | grey_box | white_box
    preserves: bool  # True: the parent's truth holds; False: it must be read anew (DESIGN 3.10)
    adaptive: bool = False  # True: run against the very classifier that is judged
    norm: str | None = None
    epsilon: float | None = None
    edits: int | None = None
    queries: int | None = None
    success: str | None = None  # the definition, in words a query can group by
    truncated: bool | None = None  # the prompt overran the text encoder
    parameters: str = "{}"  # canonical JSON of what is particular to this attack


ATTACK_TYPE = pa.struct(
    [
        ("name", pa.string()),
        ("family", pa.string()),
        ("goal", pa.string()),
        ("knowledge", pa.string()),
        ("preserves", pa.bool_()),
        ("adaptive", pa.bool_()),
        ("norm", pa.string()),
        ("epsilon", pa.float64()),
        ("edits", pa.int64()),
        ("queries", pa.int64()),
        ("success", pa.string()),
        ("truncated", pa.bool_()),
        ("parameters", pa.string()),
    ]
)
