"""The door for prompts: what is empty, too long, unreadable, double or refused stops here and is counted, never kept."""

from array import array
from collections.abc import Iterable, Iterator
from hashlib import blake2b

from schemas.generation import settings_of
from schemas.prompt import LeftOut, Prompt
from stages.prompts.gate import Gate

# The longest prompts of real users (DiffusionDB) stay below; text encoders read 77 to 512 tokens of it.
MAX_LENGTH = 2000
EXAMPLES = 3  # places that are named for each reason


class Intake:
    """Admits prompts, from one source or several in turn, and counts why the others were left out.

    `counts` has `admitted`, `empty`, `over_long`, `undecodable`, `duplicate` and one `refused_REASON` for each reason
    met, and those that a source itself gives (`LeftOut`: `malformed`); their sum is what was read. `examples` has the first
    few places of each such reason. Two prompts are duplicates when judged and drawn text agree but for white space, and so do
    the seed and the settings that their rows fix. Refused texts leave their count and nothing else, so a refused text that comes
    twice is refused twice. Order in, order out; needs about 30 bytes a prompt admitted.
    """

    def __init__(self, gate: Gate, max_length: int = MAX_LENGTH) -> None:
        """`max_length` is in characters, for each of the two texts."""
        self.gate = gate
        self.max_length = max_length
        self.reset()

    def reset(self) -> None:
        """Forget what was counted and seen."""
        self.counts = dict.fromkeys(("admitted", "empty", "over_long", "undecodable", "duplicate"), 0)
        self.examples: dict[str, list[str]] = {}
        self._seen = DigestSet()

    def admit(self, prompts: Iterable[Prompt | LeftOut]) -> Iterator[Prompt]:
        """The prompts that may pass, unchanged and as they come."""
        for prompt in prompts:
            if isinstance(prompt, LeftOut):
                self._leave_out(prompt)
                continue
            reason = self._objection(prompt)
            if reason is None:
                self.counts["admitted"] += 1
                yield prompt
            else:
                self.counts[reason] = self.counts.get(reason, 0) + 1

    def _leave_out(self, row: LeftOut) -> None:
        self.counts[row.reason] = self.counts.get(row.reason, 0) + 1
        places = self.examples.setdefault(row.reason, [])
        if len(places) < EXAMPLES:
            places.append(row.where)

    def _objection(self, prompt: Prompt) -> str | None:
        text = prompt.text
        drawn = None if prompt.drawn_text == text else prompt.drawn_text
        words = text.split()
        if not words or (drawn is not None and not drawn.strip()):
            return "empty"
        if len(text) > self.max_length or (drawn is not None and len(drawn) > self.max_length):
            return "over_long"
        same = " ".join(words) if drawn is None else " ".join(words) + "\n" + " ".join(drawn.split())
        same += "" if prompt.seed is None else f"\n\n{prompt.seed}"
        same += "" if prompt.settings is None else f"\n\n{prompt.settings}"
        try:
            digest = int.from_bytes(blake2b(same.encode(), digest_size=8).digest())
        except (
            UnicodeEncodeError
        ):  # a lone surrogate: bytes that no decoder took (`stages.prompts.rows`), or half a character
            return "undecodable"
        if digest in self._seen:
            return "duplicate"
        refusal = self.gate.refusal(text)
        negative = settings_of(prompt.settings).negative_prompt if prompt.settings is not None else None
        for further in (drawn, negative):
            if refusal is None and further is not None:
                refusal = self.gate.refusal(further)
        if refusal is not None:
            return f"refused_{refusal}"
        self._seen.add(digest)
        return None


class DigestSet:
    """A set of 64-bit digests in 16 to 32 bytes each, where a set of `int` takes about 90 (measured, Python 3.11).

    Open addressing. With n digests two different texts share one with a chance of n²/2⁶⁵: 3e-6 at ten million.
    """

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * 1024))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, digest: int) -> bool:
        return self._slots[self._find(digest or 1)] != 0

    def add(self, digest: int) -> None:
        """Add a digest (0 to 2⁶⁴-1); 0 marks an empty slot, so it counts as 1."""
        digest = digest or 1
        at = self._find(digest)
        if self._slots[at] == 0:
            self._slots[at] = digest
            self._count += 1
            if 2 * self._count > len(self._slots):
                self._grow()

    def _find(self, digest: int) -> int:
        """The slot that holds the digest, or the empty one where it belongs."""
        slots = self._slots
        mask = len(slots) - 1
        at = digest & mask
        while slots[at] != 0 and slots[at] != digest:
            at = (at + 1) & mask
        return at

    def _grow(self) -> None:
        old = self._slots
        self._slots = array("Q", bytes(2 * 8 * len(old)))
        for digest in old:
            if digest:
                self._slots[self._find(digest)] = digest
