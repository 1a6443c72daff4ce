"""What one training is asked for: all that can change its weights, but the run's shards."""

import json
from dataclasses import asdict, dataclass
from hashlib import blake2b

from schemas.errors import InputError

CLIP = "assets/world/clip"
ADDED = ("encoder_lora", "gradient_checkpointing")  # fields that older fingerprints lack: left out where they are off
CLASS_WEIGHTS = ("shards", "balanced", "none")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """`classifier` is the file in classifiers/, `name` the folder under models/; `start` is a folder to take the weights from.

    `epsilon` is the L-infinity budget of the pictures that are attacked while training, in [0, 1] pixel units, and `token_budget`
    how many words of a prompt are exchanged; 0 leaves them alone. `batch` counts rows a step and worker. Raises InputError for what
    cannot be trained with.
    """

    classifier: str
    name: str
    clip: str = CLIP
    start: str | None = None
    epochs: int = 30
    batch: int = 64
    learning_rate: float = 1e-3  # AdamW on heads of 10^5 to 10^6 weights; 3e-3 was no better on the embedded world
    encoder_rate: float = 1e-4  # a tenth: the encoder knows its world already
    weight_decay: float = 1e-2
    tune_encoder: bool = False
    encoder_lora: int = 0  # rank of what is trained beside the encoder's weights; 0: these themselves
    gradient_checkpointing: bool = False
    epsilon: float = 0.0
    attack_steps: int = 3
    token_budget: int = 0
    class_weights: str = "shards"
    false_positive_rate: float = 0.05
    patience: int = 5  # epochs without a better validation loss; 0: train to the end and keep the last weights
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch, self.attack_steps) < 1 or min(self.token_budget, self.patience) < 0:
            raise InputError("epochs, batch and attack steps are at least 1, token budget and patience at least 0")
        if (self.encoder_lora or self.gradient_checkpointing) and not self.tune_encoder:
            raise InputError("--encoder-lora and --gradient-checkpointing go with --tune-encoder")
        if not 0 <= self.epsilon <= 1:
            raise InputError(f"--epsilon {self.epsilon}: expected pixel units in [0, 1], say 2/255")
        if not 0 < self.false_positive_rate < 1:
            raise InputError(f"--false-positive-rate {self.false_positive_rate}: expected a share in (0, 1), say 0.05")
        if self.class_weights not in CLASS_WEIGHTS:
            raise InputError(f"--class-weights {self.class_weights}: expected one of {', '.join(CLASS_WEIGHTS)}")

    @property
    def adversarial(self) -> bool:
        """Whether rows are attacked on the way."""
        return self.epsilon > 0 or self.token_budget > 0

    @property
    def encodes_anew(self) -> bool:
        """Whether encoders have to run in every step, so that nothing can be encoded once."""
        return self.tune_encoder or self.adversarial

    def fingerprint(self, *others: str) -> str:
        """Names this very training: of these settings, and digests of what else goes in (shards, weights)."""
        fields = {name: value for name, value in asdict(self).items() if name not in ADDED or value}
        text = json.dumps([fields, *others], sort_keys=True)
        return blake2b(text.encode(), digest_size=16).hexdigest()
