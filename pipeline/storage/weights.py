"""Find a model's directory, check that it can be loaded safely, and name its weights by a digest."""

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from pipeline.storage.digest_cache import remembered
from schemas.errors import InputError

REPOSITORY = Path(__file__).resolve().parents[2]
PICKLED = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl"})
# Pickles, copies in a precision that we choose ourselves, and SD 3's second set of encoders for another program.
NEVER = (*(f"*{suffix}" for suffix in sorted(PICKLED)), "*.fp16*", "text_encoders/*")
PIPELINE_FILES = ("*.json", "*/*.json", "*/*.txt", "*/*.model", "*/*.safetensors")
"""What of a diffusers repository is read: its parts, not the single-file checkpoints beside them (7 GB for SDXL)."""
READ = (".json", ".safetensors", ".txt", ".model", ".gguf")
"""Endings of the files that loading a directory reads."""
PIECE = 1 << 22  # bytes read at a time


def local_directory(model: str) -> Path | None:
    """The directory at the path `model` (also relative to the repository), if there is one; the hub is not asked."""
    for path in (Path(model), REPOSITORY / model):
        if path.is_dir():
            return path.resolve()
    return None


def model_directory(model: str, files: tuple[str, ...] | None = None) -> Path:
    """The directory of `model`: a path (also relative to the repository), or a hub id, of which `files` (None: all) are fetched.

    Raises InputError if there is no such directory, or the hub has to be asked and cannot be.
    """
    if (local := local_directory(model)) is not None:
        return local
    if Path(model).is_absolute() or model.startswith(".") or model.count("/") != 1:
        raise InputError(f"--model {model}: no such directory; give a model's directory or a hub id such as OWNER/NAME")
    from huggingface_hub import snapshot_download

    try:
        wanted = list(files) if files else None
        return Path(snapshot_download(model, allow_patterns=wanted, ignore_patterns=list(NEVER)))
    except Exception as error:  # the hub client raises a dozen kinds, all of which mean the same to the user
        raise InputError(
            f"--model {model}: no such directory here, and the hub could not be asked ({type(error).__name__}). "
            "Download the model first, or give its directory."
        ) from error


def model_file(name: str) -> Path:
    """One file of weights: a path (also relative to the repository), or OWNER/NAME/FILE on the hub. Raises InputError."""
    for path in (Path(name), REPOSITORY / name):
        if path.is_file():
            return path.resolve()
    parts = name.split("/")
    if Path(name).is_absolute() or name.startswith(".") or len(parts) != 3 or Path(name).suffix in PICKLED:
        raise InputError(f"{name}: no such file; give a file of weights or OWNER/NAME/FILE on the hub, and no pickle")
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download("/".join(parts[:2]), parts[2]))
    except Exception as error:  # as above
        reason = f"the hub could not be asked ({type(error).__name__})"
        raise InputError(f"{name}: no such file here, and {reason}") from error


@lru_cache
def weights_digest(model: Path) -> str:
    """blake2b over a file, or over the names and bytes of every file that loading a directory reads, sorted (~1 GB/s)."""
    paths = [model] if model.is_file() else sorted(model.rglob("*"))
    files = [path for path in paths if path.is_file() and path.suffix in READ]
    return remembered(files, lambda: _hashed((path.relative_to(model).as_posix(), path) for path in files))


def base_folder(base: str) -> Path:
    """The directory of a base model: a path, also relative to the repository. Raises InputError."""
    for path in (Path(base), REPOSITORY / base):
        if (path / "config.json").is_file():
            return path
    raise InputError(f"{base}: the base model is not there; put its directory where config.json says, or tune again")


def digest(folder: Path, names: tuple[str, ...] | None = None) -> str:
    """blake2b over some files' bytes; without `names` over the weights and settings of a model's directory (~1 GB/s)."""
    paths = [folder / name for name in names] if names else sorted(folder.glob("*"))
    files = [path for path in paths if path.suffix in (".json", ".safetensors", ".model", ".jinja") and path.is_file()]
    return remembered(files, lambda: _hashed((path.name, path) for path in files))


def _hashed(files: Iterable[tuple[str, Path]]) -> str:
    """blake2b over names and bytes, in 32 hexadecimal digits."""
    hasher = blake2b(digest_size=16)
    for name, path in files:
        hasher.update(name.encode() + b"\0")
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                hasher.update(piece)
    return hasher.hexdigest()
