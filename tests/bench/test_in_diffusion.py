"""What the in-diffusion bench trains on and tests on stay apart, by the prompt that everything was made of."""

from bench.in_diffusion.attacked import misspelt
from bench.in_diffusion.pictures import split_of, spoken


def test_rewritten_prompts_to_train_on_are_of_no_test_prompt_and_say_whose_they_are() -> None:
    originals = {sample.root: sample.prompt for sample in spoken(120)}
    made = misspelt(spoken(120), 60)
    assert 50 < len(made) <= 60, "an attack may find nothing to change, most do"
    assert {split_of(sample.source_id or "") for sample in made} == {"train", "val"}
    assert all(sample.prompt != originals[sample.source_id or ""] for sample in made)
    assert len({sample.source_id for sample in made}) == len(made)


def test_prompts_of_the_bench_are_of_both_labels_in_every_kind_that_has_both() -> None:
    kinds = {(sample.source, sample.label) for sample in spoken(200)}
    assert kinds == {
        ("grammar/plain", "unsafe"),
        ("grammar/plain", "safe"),
        ("grammar/pair", "unsafe"),
        ("grammar/pair", "safe"),
        ("grammar/look_alike", "safe"),
    }
