"""The categories of what is unsafe, a choice of them, one's own, and other people's."""

import json
import pickle
from pathlib import Path

import pytest

from schemas.errors import InputError
from schemas.taxonomy import SAFE, UNSAFEBENCH, Category, Taxonomy
from stages.world.vocabulary import UNSAFE_CATEGORIES

ELEVEN = ["hate", "harassment", "violence", "self_harm", "sexual", "shocking", "illegal_activity", "deception"]
ELEVEN += ["political", "health", "spam"]


def test_default_has_the_eleven_categories_of_unsafebench_with_policy_text() -> None:
    assert list(UNSAFEBENCH.ids) == ELEVEN
    assert UNSAFEBENCH.label == "unsafebench@1"
    assert all(category.policy.endswith(".") for category in UNSAFEBENCH.categories)


def test_pictograms_stand_for_these_categories() -> None:
    assert set(UNSAFE_CATEGORIES) == set(ELEVEN)


@pytest.mark.parametrize(
    ("source", "theirs", "ours"),
    [
        ("i2p", "hate", ("hate",)),
        ("i2p", "Sexual, self-harm", ("self_harm", "sexual")),
        ("coprov2", "illegal_activity", ("illegal_activity",)),
        ("overt", "unethical_unsafe_action", ("harassment", "illegal_activity")),
        ("overt", "privacy_public", ()),
        ("t2i_riskyprompt", "Violence--Blood; Copyright", ("violence", "shocking")),
        ("t2i_riskyprompt", "illegal——drugs", ("illegal_activity",)),
        ("llavaguard", "O1: Hate, Humiliation, Harassment", ("hate", "harassment")),
        ("mlcommons", "S10", ("hate",)),
        ("shieldgemma2", "dangerous", ("violence", "self_harm", "illegal_activity")),
        ("i2p", "no such class", None),
        ("nobody", "hate", None),
    ],
)
def test_classes_of_other_taxonomies_are_mapped_or_said_to_be_unknown(
    source: str, theirs: str, ours: tuple[str, ...] | None
) -> None:
    assert UNSAFEBENCH.of(source, theirs) == ours


def test_no_class_that_names_minors_is_mapped() -> None:
    assert UNSAFEBENCH.of("mlcommons", "S4") is None


def test_a_choice_keeps_order_and_maps_to_what_is_left() -> None:
    two = UNSAFEBENCH.subset(["violence", "hate"])
    assert two.ids == ("hate", "violence")
    assert two.label == "unsafebench@1[hate,violence]"
    assert two.of("i2p", "sexual") == ()
    assert two.of("i2p", "violence, sexual") == ("violence",)
    assert UNSAFEBENCH.subset(ELEVEN) is UNSAFEBENCH


def test_a_wrong_id_is_an_error_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'violence'"):
        UNSAFEBENCH.subset(["violense"])


def test_a_taxonomy_is_a_value() -> None:
    again = pickle.loads(pickle.dumps(UNSAFEBENCH))
    assert again == UNSAFEBENCH
    assert hash(again) == hash(UNSAFEBENCH)


def test_own_taxonomy_from_json_with_its_mappings(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    category = {"id": "litter", "name": "Litter", "policy": "Things thrown away."}
    content = {
        "name": "park",
        "version": "2",
        "categories": [category],
        "mappings": {"i2p": {"Shocking": ["litter"], "hate": []}},
    }
    path.write_text("\ufeff" + json.dumps(content), encoding="utf-8")
    own = Taxonomy.read(path)
    assert own == Taxonomy("park", "2", (Category("litter", "Litter", "Things thrown away."),), own.mappings)
    assert own.of("i2p", "shocking") == ("litter",)
    assert own.of("i2p", "hate") == ()


def test_own_taxonomy_from_a_table(tmp_path: Path) -> None:
    path = tmp_path / "park.tsv"
    path.write_bytes('\ufeffid\tname\tpolicy\r\nlitter\tLitter\tThings "thrown" away.\r\n'.encode())
    own = Taxonomy.read(path)
    assert own.label == "park@1"
    assert own["litter"].policy == 'Things "thrown" away.'


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.yaml", "x", "from .json or .tsv"),
        ("a.json", "{", "no JSON"),
        ("a.json", "[]", "needs 'categories'"),
        ("a.json", '{"name": "n", "version": "1", "categories": [{"id": "x"}]}', "category 1 needs 'name'"),
        ("a.json", '{"name": "n", "version": "1", "categories": []}', "has no category"),
        ("a.json", '{"name": "n", "categories": []}', "needs 'version'"),
        ("a.tsv", "id\tname\n", "want the header"),
        ("a.tsv", "", "want the header"),
        ("a.tsv", "id\tname\tpolicy\nx\ty\n", "line 2"),
        ("a.tsv", "id\tname\tpolicy\nx\ty\tz\nx\ty\tz\n", "twice"),
        ("a.tsv", "id\tname\tpolicy\nX y\ty\tz\n", "can't be an id"),
        ("a.tsv", f"id\tname\tpolicy\n{SAFE}\ty\tz\n", "can't be one"),
        ("a.tsv", "id\tname\tpolicy\nx\t \tz\n", "needs a name"),
    ],
)
def test_a_wrong_taxonomy_file_is_one_clear_error(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        Taxonomy.read(tmp_path / name)


def test_mapping_to_an_unknown_category_and_missing_files_are_errors(tmp_path: Path) -> None:
    one = (Category("x", "X", "Xs."),)
    with pytest.raises(InputError, match="maps 'hate' of i2p to 'y'"):
        Taxonomy("n", "1", one, ((("i2p", "hate"), ("y",)),))
    with pytest.raises(InputError, match=r"no taxonomy file .*gone\.json"):
        Taxonomy.read(tmp_path / "gone.json")
