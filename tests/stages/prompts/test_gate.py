"""The gate, on made-up words only: "zorblet" stands for a minor, "quaxify" for harm."""

import pickle
import random
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.gate import obfuscated, placeholder_terms
from schemas.errors import InputError
from schemas.taxonomy import UNSAFEBENCH
from stages.prompts.gate import TERMS, Gate, read_names
from stages.prompts.normalise import readings
from stages.prompts.terms import by_class, compile_terms, read_terms, unit_of

PLACEHOLDERS = by_class(
    {
        "minor": ["zorblet", "snarn", "teemm", "ζουρβλετ", "*龘靐*", "#_zorps_old", "*#_靋*"],
        "sexual": ["quaxify*"],
        "violence": ["blorvane", "*齉爩*"],
        "self_harm": ["glim_sted", "κουαξιφ"],
        "number": ["seven", "twelve", "五", "十二"],
        "tens": ["twenty", "y", "十"],
    }
)

PLACEHOLDER_GATE = Gate.of(PLACEHOLDERS)


@pytest.fixture
def gate() -> Gate:
    return PLACEHOLDER_GATE


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a zorblet and a quaxify by the sea", "minor_sexual"),
        ("blorvane beside a ZORBLET", "minor_violence"),
        ("Zorblet's glim-sted", "minor_self_harm"),
        ("quaxifying, with zorblet2", "minor_sexual"),
        ("a zorblet by the sea", None),
        ("to quaxify a blorvane", None),
        ("", None),
    ],
)
def test_gate_refuses_what_joins_the_two_and_says_which(gate: Gate, text: str, reason: str | None) -> None:
    assert gate.refusal(text) == reason


@pytest.mark.parametrize(
    "word",
    [
        "z0rbl3t",  # leetspeak
        "2orb1e+",
        "z o r b l e t",
        "z.o-r_b/l e t",
        "zor\nblet",
        "z 0 r b | 3 t",
        "zzoorrbbblleett",
        "z-z-o-r-b-b-l-e-t",
        "zоrblеt",  # Cyrillic o and e
        "ZΟRΒLΕT",  # Greek capitals
        "ｚｏｒｂｌｅｔ",
        "𝔃𝓸𝓻𝓫𝓵𝓮𝓽",
        "ⓩⓞⓡⓑⓛⓔⓣ",
        "🆉🅾🆁🅱🅻🅴🆃",
        "🇿🇴🇷🇧🇱🇪🇹",
        "ᴢᴏʀʙʟᴇᴛ",
        "z\u200bo\u200dr\u00adb\u2060l\ufeffe\u202et",
        "z̷̛o̸r̴b̵l̶e̷t̸",
        "zōrblët",
        "zørbłet",
        "zorbIet",  # capital i for l
        "zOrBlEt",
        "&#122;orbl&#x65;t",
        "ᴢ0®ᖯƖ3т",
    ],
)
def test_gate_sees_through_spellings(gate: Gate, word: str) -> None:
    assert gate.refusal(f"a painting of {word}, quaxify") == "minor_sexual"
    assert gate.refusal(f"a painting of {word}, apples") is None


@pytest.mark.parametrize("word", ["teemm", "teernrn", "t e e r n r n", "te emm"])
def test_gate_takes_pairs_of_letters_for_one(gate: Gate, word: str) -> None:
    assert gate.refusal(f"{word} quaxify") == "minor_sexual"


@pytest.mark.parametrize(
    "text",
    [
        "ΖΟΥΡΒΛΕΤ κουαξιφ",
        "一只龘靐和齉爩",
        "龘 靐 quaxify",
        "ζ.ο.υ.ρ.β.λ.ε.τ blorvane",
        "ΚΟΥΑΞΙΦ zorblet",
        "龘·靐齉*爩",
    ],
)
def test_gate_reads_several_scripts_together(gate: Gate, text: str) -> None:
    assert gate.refusal(text) is not None


@pytest.mark.parametrize("word", ["zorbletry", "azorblet", "temm", "zorb", "zorble table", "orblet"])
def test_part_of_another_word_is_no_term(gate: Gate, word: str) -> None:
    assert gate.refusal(f"{word} quaxify") is None


YOUNG = (
    "12 zorps old|12-zorps-old|１２ zorps old|twelve zorps old|l2 zorps old|1 2 zorps old|٧ zorps old|7zorpsold|⑦ zorps old"
    "|sevenzorpsold|7.5 z0rps 0ld|0 zorps old|17 zorps old|她12靋|十二靋|５靋"
)
GROWN = (
    "18 zorps old|25 zorps old|112 zorps old|twenty-seven zorps old|32靋|二十五靋|treinta y seven zorps old|zorps old"
    "|12 zorps|1234567 zorps old|Io zorps old"
)


@pytest.mark.parametrize("age", YOUNG.split("|"))
def test_an_age_below_18_is_a_minor(gate: Gate, age: str) -> None:
    assert gate.refusal(f"{age}, quaxify") == "minor_sexual"


@pytest.mark.parametrize("age", GROWN.split("|"))
def test_an_age_from_18_is_none(gate: Gate, age: str) -> None:
    assert gate.refusal(f"{age}, quaxify") is None


def test_two_common_words_are_no_term_written_apart() -> None:
    gate = Gate.of(
        by_class({"minor": ["zorblet"], "sexual": ["abush*"], "violence": ["tozent"], "self_harm": ["itsnarv*"]})
    )
    for chance in ("a bushel", "to zent", "it's narvik", "A, bushel", "to\nzent", "a\tbushel"):
        assert gate.refusal(f"zorblet in {chance}") is None, chance
    for meant in ("ab ushel", "a b u s h", "a-bush", "t o z e n t", "toz ent", "i.t.s.n.a.r.v"):
        assert gate.refusal(f"zorblet in {meant}") is not None, meant


def test_terms_do_not_join_across_readings() -> None:
    gate = Gate.of(by_class({"minor": ["zorblet"], "sexual": ["tzor"], "violence": ["q"], "self_harm": ["q"]}))
    assert gate.refusal("blet 4pples zor") is None


def test_recall_on_the_synthetic_corpus_is_at_least_99_percent() -> None:
    gate = Gate.of(placeholder_terms())
    texts = list(obfuscated(2000, random.Random(5)))
    assert sum(gate.refusal(text) is not None for text in texts) >= 0.99 * len(texts)


def test_every_shipped_term_is_found() -> None:
    shipped = read_terms(TERMS)
    made_up = [replace(PLACEHOLDERS, minor=shipped.minor), replace(PLACEHOLDERS, harms=shipped.harms)]
    by_minor, by_harm = (Gate.of(terms) for terms in made_up)
    spelt = [term.strip("*").replace("_", " ") for term in shipped.minor if "#" not in term]
    assert [term for term in spelt if by_minor.refusal(f"the {term}, quaxify") is None] == []
    for name, terms in shipped.harms:
        spelt = [term.strip("*").replace("_", " ") for term in terms]
        assert [term for term in spelt if by_harm.refusal(f"zorblet, {term}!") is None] == [], name


def test_policy_text_and_one_class_alone_pass_the_shipped_gate() -> None:
    gate = Gate.default()
    assert [category.id for category in UNSAFEBENCH.categories if gate.refusal(category.policy)] == []
    assert gate.refusal("a child with a red apple in the garden, 4k") is None
    assert gate.refusal("a pistol and a bomb on a table, watercolor") is None


def test_a_gate_pickles_and_compares(gate: Gate) -> None:
    again = pickle.loads(pickle.dumps(gate))
    assert again == gate
    assert again.refusal("zorblet quaxify") == "minor_sexual"
    assert Gate.default() is Gate.default()
    assert len(Gate.default().version) == 16


@pytest.mark.parametrize(
    "hostile", ["z" * 5000, "zo" * 2500, "z " * 2500, "t" + "e" * 5000, "1 " * 2500, "&#1;" * 1500, "é" * 3000]
)
def test_no_text_takes_the_gate_long(hostile: str) -> None:
    gate = Gate.default()
    started = time.process_time()
    gate.refusal(hostile)
    assert time.process_time() - started < 0.5


@given(st.text(max_size=80))
@settings(max_examples=200, deadline=None)
def test_no_text_makes_the_gate_fail(text: str) -> None:
    assert Gate.default().refusal(text + "\ud800") in (None, "minor_sexual", "minor_violence", "minor_self_harm")
    if text.isascii():
        assert PLACEHOLDER_GATE.refusal(f"{text} zorblet {text} quaxify {text}") is not None


def test_listed_persons_are_refused_however_spelt(tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("\ufeffFlorim Zandvork\r\n# made up\r\nQuillaby\r\nAnn de la Brusk\r\n", encoding="utf-8")
    gate = Gate.of(PLACEHOLDERS, read_names(names))
    for text in (
        "a photo of florim zandvork",
        "Zandvork, Florim",
        "FLORIM-ZANDVORK!",
        "fl0rim zandv0rk",
        "quillaby smiling",
    ):
        assert gate.refusal(text) == "real_person", text
    for text in (
        "Ann de la Brusk",
        "F l o r i m Z a n d v o r k",
        "FlorimZandvork",
        "Ｆlorim Zandvоrk",
        "florimzandvork",
    ):
        assert gate.refusal(text) == "real_person", text
    for text in ("florim alone", "zandvork", "ann and la brusk", "quillabys"):
        assert gate.refusal(text) is None, text
    assert "zandvork" not in "".join(Gate.of(PLACEHOLDERS).people)


def test_an_empty_list_of_names_is_an_error(tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("# nobody\n")
    with pytest.raises(InputError, match="holds no name"):
        read_names(names)
    with pytest.raises(InputError, match=r"gone\.txt"):
        read_names(tmp_path / "gone.txt")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("minor\ten\tzorblet\n", "sexual, violence, self_harm"),
        ("minor en zorblet\n", "line 1"),
        ("minors\ten\tx\n", "one of minor"),
    ],
)
def test_a_table_that_would_let_all_pass_is_an_error(tmp_path: Path, table: str, message: str) -> None:
    (tmp_path / "terms.tsv").write_text(table)
    with pytest.raises(InputError, match=message):
        read_terms(tmp_path / "terms.tsv")


def test_plain_text_has_one_reading_and_digits_of_cameras_are_no_leetspeak() -> None:
    assert readings("a red apple") == "a red appie"
    assert readings("a red apple, 4k, 85mm, 1920s, 1080p") == "a red appie, 4k, 85mm, 1920s, 1080p"
    assert len(readings("a r3d apple").split(" " * 8)) == 3


def test_a_pattern_of_no_terms_finds_nothing() -> None:
    assert compile_terms([]).search("anything") is None


@pytest.mark.parametrize(
    ("template", "unit"), [("#_zorps_old", "*zorps_old"), ("aged_#", "aged"), ("*#_靋*", "*靋*"), ("#_yo", "yo")]
)
def test_the_unit_of_an_age_is_its_longest_wording(template: str, unit: str) -> None:
    assert unit_of(template) == unit
