"""The model that a trained one rests on, kept once: found by its place, known by its digest."""

from hashlib import blake2b
from pathlib import Path

from schemas.errors import InputError

REPOSITORY = Path(__file__).resolve().parents[1]
PIECE = 1 << 22  # bytes read at a time


def base_folder(base: str) -> Path:
    """The directory of a base model: a path, also relative to the repository. Raises InputError."""
    for path in (Path(base), REPOSITORY / base):
        if (path / "config.json").is_file():
            return path
    raise InputError(f"{base}: the base model is not there; put its directory where config.json says, or tune again")


def digest(folder: Path, names: tuple[str, ...] | None = None) -> str:
    """blake2b over some files' bytes; without `names` over the weights and settings of a model's directory (~1 GB/s)."""
    paths = [folder / name for name in names] if names else sorted(folder.glob("*"))
    hasher = blake2b(digest_size=16)
    for path in paths:
        if path.suffix in (".json", ".safetensors", ".model", ".jinja") and path.is_file():
            hasher.update(path.name.encode() + b"\0")
            with path.open("rb") as file:
                while piece := file.read(PIECE):
                    hasher.update(piece)
    return hasher.hexdigest()
