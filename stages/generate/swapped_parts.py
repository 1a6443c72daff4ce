"""Denoisers in a file of their own (GGUF too) or of fewer bits, and the words that textual inversions teach."""

import importlib.util
from importlib import import_module
from pathlib import Path
from typing import Any

from pipeline.storage.weights import PICKLED
from schemas.errors import InputError
from stages.generate.load_options import LoadOptions, quantisation
from stages.generate.pipeline_directory import PipelineDirectory, tensor_shapes

GGUF = ".gguf"
MAX_VECTORS = 128  # of one word; published ones have up to 75, the length of a prompt
EMBEDDING = "emb_params"


def checked_denoiser(file: Path, directory: PipelineDirectory) -> Path:
    """The file. Raises InputError for what is no GGUF or safetensors, and for a class that is not loaded from one."""
    if file.suffix == GGUF:
        with file.open("rb") as opened:
            if opened.read(4) != b"GGUF":
                raise InputError(f"--denoiser {file}: it is no GGUF file; fetch it again")
        if importlib.util.find_spec("gguf") is None:
            raise InputError(f"--denoiser {file}: reading GGUF takes the package gguf: pip install gguf")
    elif file.suffix == ".safetensors":
        tensor_shapes(file)
    else:
        raise InputError(f"--denoiser {file}: expected *{GGUF} or *.safetensors")
    if not hasattr(_kind(directory), "from_single_file"):
        raise InputError(
            f"--denoiser {file}: a {_kind(directory).__name__} is not loaded from one file; give its directory"
        )
    return file


def checked_embedding(file: Path, directory: PipelineDirectory) -> Path:
    """The file of a textual inversion. Raises InputError for another file, and for a class that learns no words."""
    if file.suffix in PICKLED:
        raise InputError(f"--textual-inversion {file}: pickled weights are never loaded; give *.safetensors")
    shapes = tensor_shapes(file)
    if not hasattr(directory.kind.found, "load_textual_inversion"):
        raise InputError(f"--textual-inversion {file}: a {directory.kind.name} learns no words; leave it out")
    if any(len(shape) > 2 or (len(shape) == 2 and shape[0] > MAX_VECTORS) for shape in shapes.values()):
        raise InputError(
            f"--textual-inversion {file}: it holds more than the vectors of a word; weights go with --lora"
        )
    return file


def swapped_parts(
    denoiser: Path | None, options: LoadOptions, directory: PipelineDirectory, dtype: Any
) -> dict[str, Any]:
    """What takes the place of the directory's own denoiser, loaded; empty where nothing does."""
    if denoiser is not None:
        return {directory.denoiser: _from_file(denoiser, directory, dtype)}
    if options.quantise is None:
        return {}
    part = _kind(directory).from_pretrained(
        directory.path,
        subfolder=directory.denoiser,
        quantization_config=quantisation(options.quantise),
        dtype=dtype,
        local_files_only=True,
        use_safetensors=True,
        variant=directory.variant,
    )
    return {directory.denoiser: part}


def _from_file(file: Path, directory: PipelineDirectory, dtype: Any) -> Any:
    from diffusers import GGUFQuantizationConfig

    packed = {"quantization_config": GGUFQuantizationConfig(compute_dtype=dtype)} if file.suffix == GGUF else {}
    try:
        return _kind(directory).from_single_file(
            str(file),
            config=str(directory.path),
            subfolder=directory.denoiser,
            dtype=dtype,
            local_files_only=True,
            **packed,
        )
    except (KeyError, ValueError, RuntimeError) as error:
        raise InputError(f"--denoiser {file}: it does not fit {directory.path} ({str(error)[:200]})") from error


def _kind(directory: PipelineDirectory) -> Any:
    library, name = directory.index[directory.denoiser]
    return getattr(import_module(library), name)


def teach(pipeline: Any, file: Path) -> None:
    """Teach the text encoders the word of a textual inversion: the file's name, or as it says itself.

    A file for SDXL has vectors for both encoders (`clip_l`, `clip_g`). Raises InputError for vectors of another width.
    """
    from safetensors.torch import load_file

    vectors = load_file(file)
    pairs = {"clip_l": ("tokenizer", "text_encoder"), "clip_g": ("tokenizer_2", "text_encoder_2")}
    try:
        if not vectors.keys() & pairs.keys():
            pipeline.load_textual_inversion(str(file), token=_word(file, vectors))
            return
        for name, (tokenizer, encoder) in pairs.items():
            pipeline.load_textual_inversion(
                vectors[name],
                token=file.stem,
                tokenizer=getattr(pipeline, tokenizer),
                text_encoder=getattr(pipeline, encoder),
            )
    except (AttributeError, KeyError, ValueError, RuntimeError) as error:
        raise InputError(f"--textual-inversion {file}: it was made for another model ({str(error)[:200]})") from error


def _word(file: Path, vectors: dict[str, Any]) -> str:
    """Files of diffusers call their one tensor by its word; those of others call it `emb_params`."""
    (name,) = vectors if len(vectors) == 1 else (EMBEDDING,)
    return file.stem if name == EMBEDDING else name
