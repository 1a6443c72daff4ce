"""Find a model's directory, check that it can be loaded safely, and name its weights by a digest."""

from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from schemas.errors import InputError

REPOSITORY = Path(__file__).resolve().parents[1]
PICKLED = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl"})
PIECE = 1 << 22  # bytes read at a time


def model_directory(model: str) -> Path:
    """The directory of `model`: a path (also relative to the repository), or a hub id that is in the local cache.

    Raises InputError if there is no such directory, or the hub has to be asked and cannot be.
    """
    for path in (Path(model), REPOSITORY / model):
        if path.is_dir():
            return path.resolve()
    if Path(model).is_absolute() or model.startswith(".") or model.count("/") != 1:
        raise InputError(f"--model {model}: no such directory; give a model's directory or a hub id such as OWNER/NAME")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model, ignore_patterns=[f"*{suffix}" for suffix in PICKLED]))
    except Exception as error:  # the hub client raises a dozen kinds, all of which mean the same to the user
        raise InputError(
            f"--model {model}: no such directory here, and the hub could not be asked ({type(error).__name__}). "
            "Download the model first, or give its directory."
        ) from error


@lru_cache
def weights_digest(directory: Path) -> str:
    """blake2b over the names and bytes of every file that loading reads, in the order of their names (~1 GB/s)."""
    hasher = blake2b(digest_size=16)
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path.suffix in (".json", ".safetensors", ".txt", ".model"):
            hasher.update(path.relative_to(directory).as_posix().encode() + b"\0")
            with path.open("rb") as file:
                while piece := file.read(PIECE):
                    hasher.update(piece)
    return hasher.hexdigest()
