"""A question about a sample as the messages of a chat: the policy first, the picture as a data: URL."""

import base64
from typing import Any

from pipeline.storage.image_codec import encode
from schemas.sample import Sample
from schemas.taxonomy import Taxonomy
from stages.label.planned_rows import picture_of
from stages.label.questions import JSON_ANSWER, policy_of, question_of


def messages_of(sample: Sample, scope: str, taxonomy: Taxonomy) -> list[dict[str, Any]]:
    """In the form of `chat/completions`. Raises ValueError for a picture that is not there."""
    content: list[dict[str, Any]] = [{"type": "text", "text": f"{question_of(scope, sample)}\n{JSON_ANSWER}"}]
    if scope != "prompt":
        data = base64.b64encode(encode(picture_of(sample), "png")).decode()
        content.insert(0, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}})
    return [{"role": "system", "content": policy_of(taxonomy)}, {"role": "user", "content": content}]
