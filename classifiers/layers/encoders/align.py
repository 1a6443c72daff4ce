"""ALIGN (arXiv 2102.05918): an EfficientNet beside a BERT."""

from typing import Any, ClassVar

from torch import Tensor

from classifiers.layers.encoder import ClipEncoder


class AlignEncoder(ClipEncoder):
    """`clip` is a `transformers.AlignModel`. A patch is a place of the last feature map."""

    model_type: ClassVar[str] = "align"

    @staticmethod
    def _kind() -> Any:
        from transformers import AlignModel

        return AlignModel

    @property
    def hidden(self) -> tuple[int, int]:
        """Width of a word's and of a place's vector. The picture tower ends in the common space's width: it has no projection."""
        return int(self.clip.config.text_config.hidden_size), self.width

    @property
    def length(self) -> int:
        """Tokens that a prompt is padded and cut to: 64, as ALIGN was trained, where the tower has so many places."""
        return min(64, super().length)

    def read(self, ids: Tensor) -> Tensor:
        """bool like `ids`: all but padding."""
        read: Tensor = ids != self.tokenizer.pad_token_id
        return read

    def _token_embedding(self) -> Any:
        return self.clip.text_model.embeddings.word_embeddings

    def scale(self) -> Tensor:
        """float32 []: the inverse of the temperature."""
        temperature: Tensor = self.clip.temperature
        return 1 / temperature

    def _read_words(self, ids: Tensor, read: Tensor) -> tuple[Tensor, Tensor]:
        out = self.clip.text_model(input_ids=ids, attention_mask=read.long())
        return out.last_hidden_state, self.clip.text_projection(out.last_hidden_state[:, 0])

    def see(self, normalised: Tensor) -> tuple[Tensor, Tensor]:
        out = self.clip.vision_model(pixel_values=normalised)
        return out.last_hidden_state.flatten(2).transpose(1, 2), out.pooler_output
