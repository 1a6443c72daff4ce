"""A guarded text-to-image pipeline as a target of PyRIT, a trained classifier as its scorer. Needs `pip install pyrit`.

python examples/pyrit_target.py "a red apple" "a pistol"
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from pyrit.executor.attack import PromptSendingAttack
from pyrit.models import Message, MessagePiece, Score, construct_response_from_request
from pyrit.models.target.target_capabilities import TargetCapabilities
from pyrit.prompt_target import PromptTarget, TargetConfiguration
from pyrit.score import MessageFloatScaleScorer, ScorerPromptValidator
from pyrit.setup import IN_MEMORY, initialize_pyrit_async

from classifiers.classifier import Classifier
from classifiers.saved import load
from stages.generate.guarded_pipeline import GuardedPipeline

WORLD = Path(__file__).resolve().parents[1] / "assets" / "world"


class GuardedTarget(PromptTarget):  # type: ignore[misc]
    """What a guard stops is answered as blocked, with the guard, the step and the score; what passes is a picture's path."""

    _DEFAULT_CONFIGURATION = TargetConfiguration(
        capabilities=TargetCapabilities(output_modalities=frozenset({frozenset({"image_path"})}))
    )

    def __init__(self, *, guard: GuardedPipeline, folder: Path, steps: int = 20) -> None:
        super().__init__(model_name=type(guard.pipeline).__name__)
        self.guard, self.folder, self.steps = guard, folder, steps

    async def _send_prompt_to_target_async(self, *, normalized_conversation: list[Message]) -> list[Message]:
        request = normalized_conversation[-1].get_piece()
        settings = {"num_inference_steps": self.steps, "generator": [torch.Generator().manual_seed(0)]}
        answer = await asyncio.to_thread(self.guard, [request.converted_value], **settings)
        [refusal] = answer.refusals
        if refusal is not None:
            reason = f"stopped by the {refusal.where} guard after step {refusal.step} ({refusal.unsafe:.2f})"
            return [construct_response_from_request(request, [reason], response_type="error", error="blocked")]
        path = self.folder / f"{request.id}.png"
        answer.images[0].save(path)
        return [construct_response_from_request(request, [str(path)], response_type="image_path")]


class ClassifierScorer(MessageFloatScaleScorer):  # type: ignore[misc]
    """P(unsafe) of a picture, by any trained classifier that reads pictures."""

    def __init__(self, *, classifier: Classifier) -> None:
        super().__init__(validator=ScorerPromptValidator(supported_data_types=["image_path"]))
        self.classifier = classifier

    def _build_identifier(self) -> Any:
        return self._create_identifier(params={"classifier": self.classifier.name})

    async def _score_piece_async(self, message_piece: MessagePiece, *, objective: str | None = None) -> list[Score]:
        unsafe = self.classifier.predict(None, [message_piece.converted_value]).unsafe["image"][0]
        facts = {"scorer_class_identifier": self.get_identifier(), "message_piece_id": message_piece.id}
        return [Score(score_value=str(float(unsafe)), score_type="float_scale", objective=objective, **facts)]


async def main(prompts: list[str], folder: Path = Path()) -> None:
    """Sends each prompt as PyRIT does, and scores what comes back."""
    await initialize_pyrit_async(IN_MEMORY, silent=True, load_defaults=False)
    pipeline, probe = DiffusionPipeline.from_pretrained(WORLD / "t2i"), load(WORLD / "linear_probe")
    target = GuardedTarget(guard=GuardedPipeline(pipeline, image=probe), folder=folder)
    for prompt in prompts:
        answer = (await PromptSendingAttack(objective_target=target).execute_async(objective=prompt)).last_response
        [score] = await ClassifierScorer(classifier=probe).score_async(answer.to_message())
        print(f"{prompt!r}: {answer.converted_value} (score {score.get_value():.2f})")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
