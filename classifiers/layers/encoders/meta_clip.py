"""MetaCLIP 2 (arXiv 2507.22062): CLIP's two towers, with the tokenizer of XLM-V and an end mark of its own."""

from typing import Any, ClassVar

from classifiers.layers.encoder import ClipEncoder


class MetaClipEncoder(ClipEncoder):
    """`clip` is a `transformers.MetaClip2Model`."""

    model_type: ClassVar[str] = "metaclip_2"

    @staticmethod
    def _kind() -> Any:
        from transformers import MetaClip2Model

        return MetaClip2Model
