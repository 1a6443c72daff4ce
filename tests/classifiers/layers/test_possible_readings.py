"""Unknown words are read as all that they may stand for; known ones as they are."""

import pickle

from classifiers.layers.possible_readings import MOST, PossibleReadings, tolerated

LEXICON = PossibleReadings(
    ["gun", "run", "bomb", "bone", "fight", "night", "apple", "an", "ready", "for", "a", "burglary"]
)


def test_known_words_stay() -> None:
    assert LEXICON("an apple ready for a fight") == "an apple ready for a fight"


def test_a_garbled_word_becomes_every_word_that_is_near() -> None:
    assert LEXICON("a qun").split()[1:] == ["gun", "run"]
    assert set(LEXICON("bornb").split()) >= {"bomb"}
    assert set(LEXICON("fiqht").split()) == {"fight", "night"}
    assert LEXICON("burqlory") == "burglary"


def test_what_is_near_nothing_stays() -> None:
    assert LEXICON("zebra xylophones") == "zebra xylophones"


def test_it_is_stable_bounded_and_travels() -> None:
    many = PossibleReadings([f"{first}{last}at" for first in "bcdfghmnp" for last in "abcdefg"])
    told = many("zzat")
    assert 0 < len(told.split()) <= MOST and many(told) == told
    assert pickle.loads(pickle.dumps(LEXICON))("a qun") == LEXICON("a qun")
    assert [tolerated("x" * length) for length in (2, 3, 5, 8, 12)] == [1, 1, 2, 3, 3]
