"""Compare pictures that were made again with what a release says of them: byte for byte (L1), or by their look (L2)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.release.again import ReleasedRecipe
from pipeline.release.tables import Hashed
from pipeline.rounds.round import Round, environment
from pipeline.rounds.rounds import committed_files
from pipeline.selection.edges import GroupRules
from schemas.errors import InputError

BITS = GroupRules().picture_bits or 0
"""Of 256 perceptual bits, what two pictures that look the same may differ by: the shards' own rule."""
SETTINGS = ("generator", "revision", "scheduler", "steps", "guidance_scale", "true_cfg_scale", "seed")
"""What has to be the same of any picture, at either level."""
EXAMPLES = 5
COLUMNS = ("key", "unit", "image_sha256", "phash", *SETTINGS)
_MADE = ("key", "image_sha256", "format", "tar", "tar_offset", "tar_size", *SETTINGS)


@dataclass
class RemadeProof:
    """How many pictures are byte-equal, look alike where bytes may differ, are different, or were not made; and which."""

    same: int = 0
    alike: int = 0
    different: int = 0
    missing: int = 0
    beside: int = 0  # made, and not published
    examples: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether every published picture was made again."""
        return not self.different and not self.missing and bool(self.same + self.alike)

    def fault(self, text: str) -> None:
        """Keep the first few."""
        if len(self.examples) < EXAMPLES:
            self.examples.append(text)


def prove(release: Path, released: ReleasedRecipe, round_: Round, hashed: Hashed) -> RemadeProof:
    """Every published row against the round `round_`. Raises InputError where the rows are not there."""
    rows = dict(_made(round_))
    strict, proof, published = _strict_units(released), RemadeProof(), 0
    for row in _published(release):
        published += 1
        again = rows.pop(row["key"], None)
        if again is None:
            proof.missing += 1
            proof.fault(f"{row['key']} was not made")
            continue
        _compare(proof, row, again, round_, hashed if row["unit"] not in strict else None)
    if not published:
        raise InputError(f"--from {release}: there are no rows below data/; fetch the release again")
    proof.beside = len(rows)
    return proof


def _compare(
    proof: RemadeProof, row: Mapping[str, Any], again: Mapping[str, Any], round_: Round, hashed: Hashed | None
) -> None:
    """One picture; `hashed` where its bytes may differ."""
    key = row["key"]
    generators = {"generator"} if row["revision"] else set()  # where a model lies is no matter, its digest is
    unlike = [name for name in SETTINGS if name not in generators and row[name] != again[name]]
    if unlike:
        proof.different += 1
        proof.fault(f"{key}: {unlike[0]} is {again[unlike[0]]} now, and {row[unlike[0]]} in the release")
    elif row["image_sha256"] == again["image_sha256"]:
        proof.same += 1
    elif hashed is None:
        proof.different += 1
        proof.fault(f"{key}: sha256 {again['image_sha256'][:12]}… now, {str(row['image_sha256'])[:12]}… in the release")
    else:
        data = round_.store.read_range(again["tar"], again["tar_offset"], again["tar_size"])
        bits = _distance(hashed(data, again["format"]), str(row["phash"]))
        proof.alike, proof.different = proof.alike + (bits <= BITS), proof.different + (bits > BITS)
        if bits > BITS:
            proof.fault(f"{key}: looks different by {bits} of 256 bits (at most {BITS})")


def _distance(a: str, b: str) -> int:
    """Bits that differ in two hexadecimal hashes; all of them for what is none."""
    try:
        return (int(a, 16) ^ int(b, 16)).bit_count()
    except ValueError:
        return 256


def _strict_units(released: ReleasedRecipe) -> set[int]:
    """Units whose bytes have to come out the same: drawn whole (L1) with these versions, on this kind of machine.

    Where something was revoked since, the others of a batch are in other rows of it now, so only their look is promised.
    """
    plan = pq.read_metadata(released.folder / "plan.parquet")
    if plan.num_rows != released.card["items"]:
        return set()
    here = environment()
    return {unit for unit, one in released.receipts().items() if one.level == "L1" and one.environment == here}


def _made(round_: Round) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in committed_files(round_.store, round_.folder, "raw/", ".parquet"):
        with round_.store.open(name) as file:
            for row in pq.read_table(file, columns=list(_MADE)).to_pylist():
                yield row["key"], row


def _published(release: Path) -> Iterator[dict[str, Any]]:
    for path in sorted((release / "data").glob("*.parquet")):
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(columns=list(COLUMNS)):
                    yield from batch.to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"{path} cannot be read as rows of a recipe ({str(error).splitlines()[0][:120]})"
            ) from error
