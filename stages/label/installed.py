"""Models that come inside packages: find them without importing the package, name them by a digest, open ONNX ones."""

from functools import lru_cache
from hashlib import blake2b
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from schemas.errors import InputError


def installed_folder(package: str, install: str) -> Path:
    """The folder of an installed package. Raises InputError that says what to install."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"this labeller needs the package {package}, which is not installed; run: pip install {install}"
        )
    return Path(spec.submodule_search_locations[0])


def imported(module: str, install: str) -> Any:
    """An optional library. Raises InputError that says what to install."""
    try:
        return import_module(module)
    except ImportError as error:
        raise InputError(f"this labeller needs {module} ({error}); run: pip install {install}") from error


@lru_cache
def file_digest(*files: Path) -> str:
    """blake2b over the bytes of the files."""
    hasher = blake2b(digest_size=16)
    for file in files:
        hasher.update(file.read_bytes())
    return hasher.hexdigest()


def onnx_session(file: Path) -> Any:
    """An ONNX model on the CPU, one thread: the same bytes everywhere (DESIGN 3.3). Raises InputError without onnxruntime."""
    onnxruntime = imported("onnxruntime", "onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
