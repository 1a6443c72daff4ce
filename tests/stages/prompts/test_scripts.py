"""Prompts of every script are told apart: groups, near-duplicates, the gate and the classifiers' canonical spelling."""

import unicodedata
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from classifiers.layers.canonical import Canonical
from schemas.prompt import Prompt
from schemas.sample import Sample
from stages.prompts.distinct import Distinct, similarity
from stages.prompts.gate import Gate
from stages.prompts.intake import Intake
from stages.prompts.normalise import exact, plain, shingles
from stages.prompts.terms import by_class
from stages.signature.prompt_text import PromptText
from tests.support.planted import groups, pair, plant, shards

CASE = Path(__file__).parents[2] / "data/cases/prompts_in_other_scripts/script.txt"

# Two prompts a script that differ in a mark, a vowel, a tone or one letter only, or in everything.
SCRIPTS = {
    "Latin": ("ein schönes Haus", "ein schones Haus"),
    "Vietnamese": ("một con mã trắng", "một con ma trắng"),
    "Greek": ("ένα νόμος", "ένα νομός"),
    "Cyrillic": ("мой дом", "мои дом"),
    "Armenian": ("կապույտ տուն", "կանաչ տուն"),
    "Georgian": ("ლურჯი სახლი", "მწვანე სახლი"),
    "Hebrew": ("סֵפֶר", "סָפַר"),
    "Arabic": ("حَمَام أبيض", "حَمَّام أبيض"),
    "Persian": ("شیر آبی", "سیر آبی"),
    "Devanagari": ("एक मेरी", "एक मीरा"),
    "Bengali": ("একটি দিন", "একটি দান"),
    "Gurmukhi": ("ਇੱਕ ਦਿਨ", "ਇੱਕ ਦਾਨ"),
    "Gujarati": ("એક દિવસ", "એક દેવસ"),
    "Tamil": ("ஒரு மரம்", "ஒரு மாரம்"),
    "Telugu": ("ఒక కల", "ఒక కాలు"),
    "Kannada": ("ಒಂದು ಮರ", "ಒಂದು ಮಾರ"),
    "Malayalam": ("ഒരു മരം", "ഒരു മാരം"),
    "Sinhala": ("එක මල", "එක මාල"),
    "Thai": ("หมู", "หมี"),
    "Thai tones": ("ไม้ใหม่", "ไม่ใหม่"),
    "Lao": ("ໝາສີຂາວ", "ໝີສີຂາວ"),
    "Khmer": ("ឆ្កែ", "ឆ្មា"),
    "Myanmar": ("ခွေး", "ခွေ"),
    "Tibetan": ("ཁྱི", "ཁྱུ"),
    "Ethiopic": ("ነጭ ውሻ", "ነጭ ድመት"),
    "Han": ("桌上的紅蘋果", "桌上的青蘋果"),
    "Japanese": ("赤いバラ", "赤いハラ"),
    "Hangul": ("빨간 사과", "빨간 사자"),
    "emoji": ("🐶🐶", "🍕🍕"),
    "skin tones": ("👋🏻", "👋🏿"),
    "flags": ("🇩🇪", "🇫🇷"),
    "punctuation": ("...", "!!!"),
    "signs": ("★ ☆", "★ ★"),
}
EVERY = [text for pair in SCRIPTS.values() for text in pair]


def signatures(*texts: str) -> list[dict[str, object]]:
    samples = [Sample.from_prompt(Prompt(text), 0) for text in texts]
    return [sample.signatures or {} for sample in PromptText().open()(samples)]


@pytest.mark.parametrize("script", SCRIPTS)
def test_two_prompts_of_a_script_are_two(script: str) -> None:
    first, second = signatures(*SCRIPTS[script])
    assert first["prompt_digest"] != second["prompt_digest"]
    assert first["spelling_digest"] != second["spelling_digest"]
    assert similarity(*(shingles(plain(text)) for text in SCRIPTS[script])) < 0.7


def test_every_pair_of_all_scripts_is_told_apart() -> None:
    assert [pair for pair in combinations(EVERY, 2) if plain(pair[0]) == plain(pair[1])] == []
    kept = list(Distinct().open()([Sample.from_prompt(Prompt(text), 0) for text in EVERY]))
    assert [sample.prompt for sample in kept] == EVERY
    assert Intake(Gate.default()).counts["duplicate"] == 0


def test_prompts_of_a_file_in_other_scripts_are_groups_of_their_own(tmp_path: Path) -> None:
    texts = CASE.read_text(encoding="utf-8").splitlines()
    pairs = [pair(number, text) for number, text in enumerate(texts)]
    store = plant(str(tmp_path / "run"), pairs, tmp_path / "files")
    shards(store)
    rows = groups(store)
    assert len({rows[one.sample.key]["group"] for one in pairs}) == len(texts) == 13


@pytest.mark.parametrize("text", EVERY)
def test_composed_and_decomposed_are_one_prompt(text: str) -> None:
    one, other = signatures(unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text))
    assert one == other


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("A red DOG!", "a red dog"),
        ("а rеd dоg", "a red dog"),  # Cyrillic letters beside Latin ones
        ("a r\u200bed d\u0336og", "a red dog"),
        ("ｒｅｄ　ｄｏｇ", "red dog"),
        ("«белый» дом", "БЕЛЫЙ ДОМ!"),
        ("赤いバラ。", "赤いバラ"),
        ("\u200fكلب صغير؟", "كلـــب صغير"),  # direction mark, question mark, stretched
        ("❤\ufe0f dog", "❤ dog"),
        ("٣ كلاب", "3 كلاب"),
    ],
)
def test_another_spelling_is_grouped_and_another_prompt(text: str, again: str) -> None:
    one, other = signatures(text, again)
    assert one["spelling_digest"] == other["spelling_digest"] and one["minhash"] == other["minhash"]
    assert one["prompt_digest"] != other["prompt_digest"]


CHARACTERS = st.text(
    st.one_of(st.characters(exclude_categories=("Cs",)), st.sampled_from("aAäÄßſıİ lI1\u0301\u200b\u00a0ﬁ가ẞΣςσ🐶!.")),
    max_size=6,
)


@settings(max_examples=500, deadline=None)
@given(CHARACTERS, CHARACTERS)
@example("a dog", "a dog!")
@example("a  dog", "a dog")
@example("\u0390", "\u03b9\u0308\u0301")
@example("ball", "bail")
def test_prompts_that_differ_after_nfc_and_case_folding_share_no_exact_group(one: str, other: str) -> None:
    def told(text: str) -> str:
        return unicodedata.normalize("NFC", text).casefold()

    first, second = signatures(one, other)
    assert (first["prompt_digest"] == second["prompt_digest"]) == (told(one) == told(other))
    assert exact(one) == told(one)


@settings(max_examples=300, deadline=None)
@given(CHARACTERS)
def test_a_plain_text_is_plain_and_never_empty_where_something_is_read(text: str) -> None:
    assert plain(plain(text)) == plain(text)
    if any(unicodedata.category(char)[0] in "LNSP" and char.isprintable() for char in text):
        assert plain(text)


def test_near_prompts_are_near_in_scripts_without_spaces_too() -> None:
    near = {
        "Thai": ("วันนี้แมวสีดำนั่งอยู่บนเก้าอี้ไม้ในสวนหลังบ้าน", "วันนี้แมวสีดำนั่งอยู่บนเก้าอี้ไม้ในสวนหน้าบ้าน"),
        "Han": ("一隻黑貓坐在花園裡的木椅上看著遠方的山", "一隻黑貓坐在花園裡的木椅上看著遠方的海"),
        "Japanese": ("庭の木の椅子に座っている黒い猫が空を見ている", "庭の木の椅子に座っている黒い猫が海を見ている"),
    }
    for script, texts in near.items():
        assert similarity(*(shingles(plain(text)) for text in texts)) > 0.7, script
    firsts = [shingles(plain(texts[0])) for texts in near.values()]
    assert max(similarity(*two) for two in combinations(firsts, 2)) < 0.1


@pytest.mark.parametrize("text", EVERY)
def test_the_gate_lets_harmless_prompts_of_every_script_pass(text: str) -> None:
    assert Gate.default().refusal(text) is None


@pytest.mark.parametrize(
    "script", [name for name in SCRIPTS if name not in ("signs", "punctuation", "emoji", "flags", "skin tones")]
)
def test_the_gate_knows_a_term_in_every_script_however_it_is_composed(script: str) -> None:
    term = SCRIPTS[script][0]
    gate = Gate.of(
        by_class({"minor": [term], "sexual": ["quaxify"], "violence": ["blorvane"], "self_harm": ["glimsted"]})
    )
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        spelt = unicodedata.normalize(form, f"{term.upper()}, \u200bquaxify")
        assert gate.refusal(spelt) == "minor_sexual", form
    assert gate.refusal(term) is None


@pytest.mark.parametrize("script", [name for name in SCRIPTS if name not in ("Latin", "Vietnamese")])
def test_canonical_spelling_leaves_other_scripts_alone(script: str) -> None:
    canonical = Canonical({"red", "dog", "house"})
    for text in SCRIPTS[script]:
        text = unicodedata.normalize("NFC", text)
        assert canonical(text) == text
        assert canonical(f"d\u200bo\u0336g {text}") == f"dog {text}"
