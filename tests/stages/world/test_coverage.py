"""What the embedded world can read is said before it is drawn."""

from stages.world.coverage import coverage_of
from stages.world.known_words import known_words
from stages.world.reader import read


def test_prompts_with_any_unknown_word_count_as_unread_and_are_shown() -> None:
    found = coverage_of(
        ["a red apple", "une pomme rouge", "three fish", "a couple of fish", "ein roter Apfel", "a, of the"]
    )
    assert (found.looked_at, found.readable) == (6, 2)
    assert [prompt for prompt, _ in found.examples] == ["une pomme rouge", "three fish", "ein roter Apfel"]
    first, *examples = found.sentences()
    assert "2 of 6 prompts (33%)" in first and len(examples) == 3 and "'pomme'" in examples[0]


def test_nothing_is_said_where_all_can_be_read_or_nothing_is_there() -> None:
    assert coverage_of(["a knife ready for a fight"]).sentences() == [] == coverage_of([]).sentences()
    assert coverage_of(["x"] * 10, at_most=3).looked_at == 3


def test_every_word_that_is_listed_is_read() -> None:
    table = known_words()
    assert len([key for key in table if key.endswith(")")]) == 115
    for what, words in table.items():
        for word in words:
            assert read(word).complete, (what, word)
