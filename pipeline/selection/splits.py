"""Splits: a stable hash of the group orders the groups of each stratum; what is held out goes to test, and nothing moves later."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.catalogue.duck import Connection, quoted
from schemas.errors import InputError

PLANNED = "(source = 'crossed' OR starts_with(source, 'grammar/') OR starts_with(source, 'vocabulary/'))"
"""Sources whose prompts are planned by category, safe ones (null) among them: their strata stay those of earlier versions."""
_NAME = re.compile(r"[a-z]+:[^,|]+")


@dataclass(frozen=True)
class HeldOut:
    """Samples that are never trained on: `name` ("style:sketch") is their test set, `where` picks them out of `facts`, in SQL."""

    name: str
    where: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError(f"held-out set {self.name!r}: expected a kind and a name, such as style:sketch")


def held_out_generator(name: str) -> HeldOut:
    """All pictures of a generator."""
    return HeldOut(f"generator:{name}", f"generator = {quoted(name)}")


def held_out_attack(name: str) -> HeldOut:
    """All variants of an attack, or of a family of attacks."""
    return HeldOut(f"attack:{name}", f"(attack = {quoted(name)} OR family = {quoted(name)})")


def held_out_style(name: str) -> HeldOut:
    """All pictures in a style of the pictogram world."""
    return HeldOut(f"style:{name}", f"style = {quoted(name)}")


def held_out_concept(name: str) -> HeldOut:
    """All pictures that show a concept of the pictogram world, or were asked to."""
    return HeldOut(f"concept:{name}", f"list_contains(concepts, {quoted(name)})")


def held_out_pairing(concept: str, purpose: str, phrases: Sequence[str]) -> HeldOut:
    """Pictures that show a concept under words that name another picture, or none, and say a purpose by one of `phrases`."""
    says = " OR ".join(f"contains(lower(prompt), {quoted(phrase)})" for phrase in phrases)
    under_others_words = f"prompt <> generation_prompt AND list_contains(concepts, {quoted(concept)})"
    return HeldOut(f"pairing:{concept}-{purpose}", f"({under_others_words} AND ({says}))")


@dataclass(frozen=True, kw_only=True)
class SplitRules:
    """Shares of the groups, salt of the hash, and what is held out. Another salt is another dataset."""

    train: float = 0.8
    val: float = 0.1
    salt: str = "hazmat"
    held_out: tuple[HeldOut, ...] = field(default=())

    def __post_init__(self) -> None:
        if not (self.train > 0 and self.val >= 0 and self.train + self.val < 1):
            raise InputError(f"shares train={self.train}, val={self.val}: both positive, and something left for test")


def mark_held_out(con: Connection, rules: SplitRules) -> None:
    """Add `held_out` to `facts`: the name of the first set a sample is in, else null."""
    cases = " ".join(f"WHEN {one.where} THEN {quoted(one.name)}" for one in rules.held_out)
    con.execute("ALTER TABLE facts ADD COLUMN held_out VARCHAR")
    if cases:
        con.execute(f"UPDATE facts SET held_out = CASE {cases} END")


def assign(con: Connection, rules: SplitRules) -> None:
    """Create `groups` (number, name, split) from `facts`, `labelled` and `component` (id, number, bridge).

    A group with a split keeps it. One whose clean samples are all held out goes to test. The others are spread within
    their stratum (source × category × generator of the first clean sample; its pair's label where prompts from outside claim
    no category, since their plan does not balance the labels): ordered by hash, and cut so that the stratum comes as
    near its shares as it can with what it held before (systematic sampling, with a start that is a hash of the stratum).
    """
    con.execute(f"""
        CREATE TABLE gathered AS
        SELECT number, min(root) AS name, min(was_split) AS split,
            coalesce(bool_and(held_out IS NOT NULL) FILTER (clean), false) AS all_held_out,
            arg_min(concat_ws('|', source, category, generator, CASE WHEN category IS NULL AND NOT {PLANNED}
                THEN coalesce(pair_label, image_label, prompt_label) END), (NOT clean, key)) AS stratum
        FROM facts JOIN component USING (id) LEFT JOIN labelled USING (key) WHERE NOT bridge GROUP BY number;

        CREATE TABLE groups AS
        WITH had AS (
            SELECT stratum, count(*) FILTER (split = 'train') AS train, count(*) FILTER (split = 'val') AS val,
                count(*) FILTER (split = 'test') AS test, count(*) AS total
            FROM gathered WHERE NOT all_held_out GROUP BY stratum
        ), wanted AS (
            SELECT stratum, greatest(0, {rules.train} * total - train) AS train, greatest(0, {rules.val} * total - val) AS val,
                greatest(0, {1 - rules.train - rules.val} * total - test) AS test,
                md5_number_lower(concat({quoted(rules.salt)}, '/', stratum)) / 18446744073709551616.0 AS start
            FROM had
        ), fresh AS (
            SELECT number, stratum, count(*) OVER (PARTITION BY stratum) AS total, row_number() OVER (
                PARTITION BY stratum ORDER BY md5(concat({quoted(rules.salt)}, '/', name)), name
            ) - 1 AS place FROM gathered WHERE split IS NULL AND NOT all_held_out
        ), placed AS (
            SELECT number, (place + start) / fresh.total * (train + val + test) AS spot, train, val
            FROM fresh JOIN wanted USING (stratum)
        )
        SELECT gathered.number, name, CASE WHEN split IS NOT NULL THEN split WHEN all_held_out THEN 'test'
            WHEN spot < train THEN 'train' WHEN spot < train + val THEN 'val' ELSE 'test' END AS split
        FROM gathered LEFT JOIN placed USING (number)
    """)
