"""What a published row says: its columns, what each means, and which of them hold words."""

from dataclasses import dataclass

from schemas.errors import InputError

TIERS = ("metadata", "embeddings", "pictures", "recipe")


@dataclass(frozen=True, slots=True)
class ReleasedColumn:
    """One column: the SQL over `samples` that gives it, and the sentence that card and Croissant say of it.

    `words`: it holds text that somebody wrote, or what can be read out of it, so a restricted run gives it only when told to.
    """

    name: str
    says: str
    sql: str = ""
    words: bool = False

    @property
    def selected(self) -> str:
        """As it stands in a SELECT."""
        return f'{self.sql or _quoted(self.name)} AS "{self.name}"'


def _quoted(name: str) -> str:
    return f's."{name}"'


SPLIT = "CASE coalesce(s.split, 'train') WHEN 'val' THEN 'validation' ELSE coalesce(s.split, 'train') END"
"""A run's split as dataset hubs call it; what was never sharded is all `train`."""


def without_paths(sql: str) -> str:
    """SQL of a text in which every whole path of a machine is cut to its last name; OWNER/NAME and paths of ours stay."""
    return rf"regexp_replace({sql}, '(^|[^\w.~-])/(?:[^+/]*/)*', '\1', 'g')"


COLUMNS = (
    ReleasedColumn("key", "name of the sample; revocations name it"),
    ReleasedColumn("split", "train, validation or test; groups of near samples are never cut", SPLIT),
    ReleasedColumn("root", "key of the prompt that it goes back to"),
    ReleasedColumn("parent", "key of the sample that it was made of, null for a prompt"),
    ReleasedColumn("clean", "whether no attack is among its ancestors"),
    ReleasedColumn("prompt", "the prompt that is judged", words=True),
    ReleasedColumn("generation_prompt", "what the generator was given", words=True),
    ReleasedColumn("negative_prompt", "what the generator was told to avoid", words=True),
    ReleasedColumn("scene", "JSON of the scene that a drawn picture shows", words=True),
    ReleasedColumn("concepts", "concepts shown, or asked for where nobody can know", words=True),
    ReleasedColumn("language", "of the prompt, as its source says"),
    ReleasedColumn("source", "where the prompt comes from", without_paths("s.source")),
    ReleasedColumn("source_id", "its name there"),
    ReleasedColumn("licence", "of the prompt, as its source says"),
    ReleasedColumn("category", "the source's claim; not a label"),
    ReleasedColumn("label", "the source's claim; not a label"),
    ReleasedColumn("generator", "what drew the picture", without_paths("s.generator")),
    ReleasedColumn("revision", "blake2b digest of its weights"),
    ReleasedColumn("scheduler", "of the denoising"),
    ReleasedColumn("steps", "denoising steps"),
    ReleasedColumn("guidance_scale", "classifier-free guidance"),
    ReleasedColumn("true_cfg_scale", "classifier-free guidance of models that were taught a guidance scale"),
    ReleasedColumn("seed", "that the picture was drawn from"),
    ReleasedColumn("attack", "name of the attack that made it, null for none", "s.attack.name"),
    ReleasedColumn("attack_family", "text, image or joint", "s.attack.family"),
    ReleasedColumn("attack_goal", "what the attack was after", "s.attack.goal"),
    ReleasedColumn("attack_epsilon", "its budget, L-infinity in [0, 1]", "s.attack.epsilon"),
    ReleasedColumn("attack_achieved", "whether the attacked classifier decided otherwise", "s.attack.achieved"),
    ReleasedColumn("format", "of the picture file"),
    ReleasedColumn("width", "pixels"),
    ReleasedColumn("height", "pixels"),
    ReleasedColumn("image_sha256", "of the picture file"),
    ReleasedColumn("phash", "256-bit perceptual hash, hexadecimal", "lower(hex(s.phash))"),
    ReleasedColumn("style", "of the picture, where it is known"),
    ReleasedColumn("group", "near samples have the same"),
    ReleasedColumn("test_set", "test, or what is held out of training"),
    *(
        ReleasedColumn(f"{scope}_{what}", f"{what} of the {scope}, derived from votes")
        for scope in ("prompt", "image", "pair")
        for what in ("label", "categories")
    ),
)
EMBEDDING = (
    ReleasedColumn("embedding", "unit-length embedding of the picture", "e.embedding"),
    ReleasedColumn("embedding_model", "what made it", "e.embedding_model"),
)
UNIT = ReleasedColumn("unit", "unit of the plan that it was drawn in")
IMAGE = ReleasedColumn("image", "the picture file's bytes", "s.tar_size")


def columns_of(tier: str, *, words: bool) -> tuple[ReleasedColumn, ...]:
    """The columns of a tier, but for the picture; without `words` those that hold none. Raises InputError for another tier."""
    if tier not in TIERS:
        raise InputError(f"--tier {tier}: expected one of {', '.join(TIERS)}")
    told = tuple(column for column in COLUMNS if words or not column.words)
    more = {"embeddings": EMBEDDING, "recipe": (UNIT,)}
    return (*told, *more.get(tier, ()))
