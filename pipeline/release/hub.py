"""Upload a release to a dataset hub, if a token is there."""

import re
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import HazmatError, InputError

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


@dataclass(frozen=True, slots=True)
class HubUpload:
    """A folder on its way to `repo` (OWNER/NAME); `gated` asks whoever wants it to accept the terms first."""

    folder: Path
    repo: str
    gated: bool

    def said(self) -> str:
        """What is done, in words."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files) / 1e6
        gate = ", gated by hand" if self.gated else ""
        return f"{len(files)} files ({size:.1f} MB) of {self.folder} to the private dataset {self.repo}{gate}"

    def push(self) -> str:
        """Create the repository if it is not there, and upload in one commit; its address. Raises HazmatError."""
        from huggingface_hub import HfApi

        api = HfApi()
        try:
            api.create_repo(self.repo, repo_type="dataset", private=True, exist_ok=True)
            if self.gated:  # before the first byte is there
                api.update_repo_settings(self.repo, repo_type="dataset", gated="manual")
            done = api.upload_folder(repo_id=self.repo, repo_type="dataset", folder_path=self.folder)
        except Exception as error:  # the hub client raises a dozen kinds
            text = str(error).strip().splitlines() or [""]
            raise HazmatError(
                f"--push {self.repo}: {type(error).__name__}: {text[0][:300]}. {self.folder} is whole; the same command tries again"
            ) from error
        return str(done)


def token_is_there() -> bool:
    """Whether huggingface_hub finds one, in HF_TOKEN or where its login put it; the token itself is not read here."""
    from huggingface_hub import get_token

    return get_token() is not None


def checked_repo(repo: str) -> str:
    """OWNER/NAME. Raises InputError for what no hub takes."""
    if not _REPOSITORY.fullmatch(repo) or ".." in repo or "--" in repo:
        raise InputError(f"--push {repo}: expected OWNER/NAME of a dataset")
    return repo
