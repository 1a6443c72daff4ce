"""SigLIP (arXiv 2303.15343) and SigLIP 2 (arXiv 2502.14786): no class token, no projections; the text tower reads its padding."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from classifiers.layers.encoder import ClipEncoder


class SiglipEncoder(ClipEncoder):
    """`clip` is a `transformers.SiglipModel`; SigLIP 2's models of one resolution are stored as such, too."""

    model_type: ClassVar[str] = "siglip"

    @staticmethod
    def _kind() -> Any:
        from transformers import SiglipModel

        return SiglipModel

    @property
    def width(self) -> int:
        """Of the common space: of the text tower's head."""
        return int(self.clip.config.text_config.projection_size)

    def computed(self, read: Tensor) -> int:
        """All: the prompt's vector is that of the last place, and every place looks at every other, padding included."""
        return int(read.shape[1])

    def _read_words(self, ids: Tensor, read: Tensor) -> tuple[Tensor, Tensor]:
        out = self.clip.text_model(input_ids=ids)
        return out.last_hidden_state, out.pooler_output

    def see(self, normalised: Tensor) -> tuple[Tensor, Tensor]:
        out = self.clip.vision_model(pixel_values=normalised)
        return out.last_hidden_state, out.pooler_output


class NaFlexEncoder(SiglipEncoder):
    """`clip` is a `transformers.Siglip2Model`, which takes pictures as rows of patches.

    Pictures are squares of as many patches as the model was trained on at most, since other pictures' proportions are not to
    change a row's score.
    """

    model_type: ClassVar[str] = "siglip2"

    @staticmethod
    def _kind() -> Any:
        from transformers import Siglip2Model

        return Siglip2Model

    @property
    def side(self) -> int:
        """Pixels: of the largest square that the model has patches for."""
        vision = self.clip.config.vision_config
        return int(vision.num_patches**0.5) * int(vision.patch_size)

    def see(self, normalised: Tensor) -> tuple[Tensor, Tensor]:
        size = int(self.clip.config.vision_config.patch_size)
        rows, across = len(normalised), normalised.shape[-1] // size
        # A patch's values run over height, width and then colours, as the model's own processor lays them.
        cut = normalised.unfold(2, size, size).unfold(3, size, size).permute(0, 2, 3, 4, 5, 1)
        out = self.clip.vision_model(
            pixel_values=cut.reshape(rows, across * across, -1),
            pixel_attention_mask=torch.ones(rows, across * across, dtype=torch.int32, device=cut.device),
            spatial_shapes=torch.full((rows, 2), across, dtype=torch.int64, device=cut.device),
        )
        return out.last_hidden_state, out.pooler_output
