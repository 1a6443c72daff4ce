"""Attacks that follow gradients to tokens, on the embedded models: what they claim is true of the text that goes out."""

import pickle
from dataclasses import replace

import pytest
import torch

from schemas.errors import InputError
from schemas.identity import seed_of
from schemas.prompt import Prompt
from schemas.protocols import Inputs
from schemas.sample import Sample
from stages.attack.text.embedding_matching import EmbeddingMatching
from stages.attack.text.homoglyphs import Homoglyphs
from stages.attack.text.token_substitution import TokenSubstitution
from stages.attack.text_attack import fools, margin
from tests.support.labelled_run import trained_model

PROMPTS = ("a picture of a knife and a skull on a red background", "a rabbit and a cake", "two devils in a house")


def test_token_substitution_fools_the_text_baseline_within_its_budget_and_survives_encoding_again() -> None:
    model = trained_model("text").load()
    labels = (margin(model, Inputs(PROMPTS)) > 0).long()
    made = TokenSubstitution(edit_budget=4).attack(model, Inputs(PROMPTS), labels, PROMPTS)
    for row, (text, record) in enumerate(zip(made.inputs.prompts, made.records, strict=True)):
        assert record.edits is not None and record.edits <= 4 and record.adaptive and record.truncated is False
        assert model.decode(model.encode([text])[0]) == text
        assert record.achieved == fools(margin(model, Inputs((text,)))[0], int(labels[row]))
    assert sum(bool(record.achieved) for record in made.records) >= 2


def test_the_search_does_at_least_as_well_as_random_letters_and_the_same_alone() -> None:
    model = trained_model("text").load()
    labels = (margin(model, Inputs(PROMPTS)) > 0).long()
    searched = TokenSubstitution(edit_budget=3).attack(model, Inputs(PROMPTS), labels, PROMPTS)
    alone = TokenSubstitution(edit_budget=3).attack(model, Inputs(PROMPTS[1:2]), labels[1:2], PROMPTS[1:2])
    assert alone.records[0] == searched.records[1]
    random = Homoglyphs(edit_budget=1, tries=3).attack(model, Inputs(PROMPTS), labels, PROMPTS)
    assert sum(bool(r.achieved) for r in random.records) <= sum(bool(r.achieved) for r in searched.records)


def test_rows_that_the_picture_settles_are_left_alone_and_no_others() -> None:
    """Unsafe ones only: of a safe row that is flagged there is nothing left to prove."""
    model = trained_model("text").load()
    pixels = torch.rand(len(PROMPTS), 3, 8, 8)
    proven = torch.tensor([True, True, False])

    class Proving:
        def settled_by_picture(self, pixels: torch.Tensor) -> torch.Tensor:
            return proven

        def __getattr__(self, name: str) -> object:
            return getattr(model, name)

    labels = torch.tensor([1, 0, 1])
    inputs, attack = Inputs(PROMPTS, pixels), TokenSubstitution(edit_budget=3)
    plain, spared = (attack.attack(target, inputs, labels, PROMPTS) for target in (model, Proving()))  # type: ignore[arg-type]
    first = spared.records[0]
    assert (spared.inputs.prompts[0], first.edits, first.queries, first.achieved) == (PROMPTS[0], 0, 0, False)
    assert spared.inputs.prompts[1:] == plain.inputs.prompts[1:] and spared.records[1:] == plain.records[1:]
    assert plain.records[0].queries


def test_tries_are_judged_together_and_the_first_that_gets_past_counts() -> None:
    model = trained_model("text").load()
    labels = torch.ones(len(PROMPTS)).long()
    attack = Homoglyphs(edit_budget=2, tries=40)
    made = attack.attack(model, Inputs(PROMPTS), labels, PROMPTS)
    for row, record in enumerate(made.records):
        seed, asked = seed_of(PROMPTS[row], "homoglyphs 0"), record.queries or 0
        tried = [attack.rewrite(PROMPTS[row], seed_of(str(seed), f"try {number}")).text for number in range(1, asked)]
        past = [fools(margin(model, Inputs((text,)))[0], 1) for text in (PROMPTS[row], *tried)]
        assert not any(past[:-1]) and past[-1] == record.achieved and (record.achieved or asked == 41)
    refused = replace(attack, keeps_truth=lambda text: False).attack(model, Inputs(PROMPTS), labels, PROMPTS)
    assert [record.achieved for record in refused.records] == [
        fools(margin(model, Inputs((prompt,)))[0], 1) for prompt in PROMPTS
    ]


def test_as_a_stage_only_what_is_flagged_is_attacked() -> None:
    target = trained_model("text")
    roots = [Sample.from_prompt(Prompt(prompt), 0).with_(batch_row=row) for row, prompt in enumerate(PROMPTS)]
    flagged = [bool(margin(target.load(), Inputs((root.prompt,)))[0] > 0) for root in roots]
    for aim in ("evade", "false_flag"):
        children = list(TokenSubstitution(target=target, aim=aim).open()(roots))
        parents = {child.parent for child in children}
        assert parents <= {root.key for root, hit in zip(roots, flagged, strict=True) if hit == (aim == "evade")}
        assert all(c.attack is not None and c.attack.target == target.digest() for c in children)


def test_no_target_or_one_that_reads_no_words_is_refused() -> None:
    with pytest.raises(InputError, match="give it a target"):
        TokenSubstitution().rewrite("a knife", 0)
    inputs = Inputs(PROMPTS[:1], torch.zeros(1, 3, 64, 64))
    with pytest.raises(InputError, match="changes words"):
        TokenSubstitution().attack(trained_model("image").load(), inputs, torch.ones(1).long(), PROMPTS[:1])


def test_embedding_matching_loses_the_banned_words_and_comes_nearer_than_chance() -> None:
    attack = EmbeddingMatching(banned=frozenset({"knife", "skull"}), query_budget=120)
    text = "a picture of a knife on a red background"
    made = attack.rewrite(text, 1)
    assert made.text != text and "knife" not in made.text and 0 < made.edits <= attack.edit_budget
    assert made == attack.rewrite(text, 1)
    reader = attack._reader
    near = reader.nearness(reader.embed(reader.encode([text])))
    chance = near.values([text.replace("knife", word) for word in ("rabbit", "cake", "umbrella", "star")])
    assert float(near.values([made.text])[0]) > float(chance.max())
    assert attack.rewrite("a house", 0).edits == 0
    assert pickle.loads(pickle.dumps(attack)) == attack and replace(attack, top=2).revision() == attack.revision()
