"""The small language model's own vocabulary: every word of the world's language, of the task and of the taxonomy."""

import re

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from classifiers.perspective.pretraining.tasks import DESCRIBE, NO, TICK, YES
from classifiers.vlm.moderation_prompt import SAFE, UNSAFE, question
from schemas.taxonomy import UNSAFEBENCH, Taxonomy
from stages.world.language import words

BEGIN, END, PAD, UNKNOWN, IMAGE = "<s>", "</s>", "<pad>", "<unk>", "<image>"
ANSWER = "Answer:"


def vocabulary(taxonomy: Taxonomy = UNSAFEBENCH) -> list[str]:
    """Marks first, then all words and signs in order."""
    questions = [question(taxonomy.categories, policies=True), question(taxonomy.categories, policies=False)]
    texts = [*questions, *DESCRIBE, TICK, YES, NO, ANSWER, SAFE, UNSAFE, " ".join(words())]
    pieces = {piece for text in texts for piece in re.findall(r"\w+|[^\w\s]", text.lower())}
    return [PAD, BEGIN, END, UNKNOWN, IMAGE, *sorted(pieces)]


def build(taxonomy: Taxonomy = UNSAFEBENCH) -> PreTrainedTokenizerFast:
    """One token a word or sign, small letters only; what it does not know is `<unk>`."""
    table = {word: index for index, word in enumerate(vocabulary(taxonomy))}
    tokenizer = Tokenizer(models.WordLevel(vocab=table, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("isolated")]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BEGIN,
        eos_token=END,
        unk_token=UNKNOWN,
        additional_special_tokens=[IMAGE],
    )
