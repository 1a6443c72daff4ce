"""A prompt against a lexicon, after normalising look-alikes, leetspeak and invisible characters: what a filter of words can do."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import ClassVar

from schemas.errors import InputError
from schemas.sample import Sample
from schemas.taxonomy import UNSAFEBENCH, Taxonomy
from stages.label.labeller import Judge, Labeller, Opinion
from stages.prompts.gate import Gate
from stages.prompts.normalise import readings
from stages.prompts.terms import compile_terms

LEXICON = Path(__file__).resolve().parents[2] / "assets" / "policy" / "lexicon.tsv"


@dataclass(frozen=True, kw_only=True)
class PromptPolicy(Labeller):
    """Unsafe in every category of which the prompt holds a term. What the gate refuses is escalated, with the gate's reason.

    `lexicon` is a table of category and terms (notation: assets/gate/terms.tsv). Score: 1 for a term, 0 for none.
    """

    scopes: ClassVar[tuple[str, ...]] = ("prompt",)
    annotator_type: ClassVar[str] = "rule"
    licence: ClassVar[str] = "Apache-2.0"
    lexicon: Path = LEXICON

    def judge(self) -> Judge:
        """Compile the patterns."""
        patterns = {name: compile_terms(terms) for name, terms in read_lexicon(self.lexicon, self.taxonomy).items()}
        gate = Gate.default()

        def judge(batch: Sequence[Sample]) -> list[list[Opinion]]:
            return [[opinion(sample.prompt)] for sample in batch]

        def opinion(prompt: str) -> Opinion:
            refusal = gate.refusal(prompt)
            if refusal is not None:
                return Opinion("prompt", "escalate", reason=f"the gate refuses it: {refusal}")
            read = readings(prompt)
            categories = tuple(name for name, pattern in patterns.items() if pattern.search(read))
            return Opinion("prompt", "unsafe" if categories else "safe", categories, score=float(bool(categories)))

        return judge

    def describe(self) -> dict[str, str]:
        """Without the path: the digest says which lexicon it is."""
        return {key: value for key, value in super().describe().items() if key != "lexicon"}

    def covers(self) -> tuple[str, ...]:
        """The categories that the lexicon has terms for."""
        return tuple(read_lexicon(self.lexicon, self.taxonomy))

    def revision(self) -> str:
        """Digest of the lexicon and of the gate's terms."""
        return blake2b(self.lexicon.read_bytes() + Gate.default().version.encode(), digest_size=16).hexdigest()


def read_lexicon(path: Path, taxonomy: Taxonomy) -> dict[str, list[str]]:
    """Terms by category, those that are something in the taxonomy. Raises InputError with the line at fault."""
    terms: dict[str, list[str]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        category, tab, words = line.partition("\t")
        if not tab or not words.split():
            raise InputError(f"{path.name}, line {number}: want a category, a tab, and terms with spaces between")
        terms.setdefault(category, []).extend(words.split())
    known = dict.fromkeys((*taxonomy.ids, *UNSAFEBENCH.ids))
    return {name: terms[name] for name in known if name in terms and taxonomy.ours(name)}
