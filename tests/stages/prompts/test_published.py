"""Other people's prompts, in the layouts in which they publish them; the texts are benign and made here."""

import csv
import json
import pickle
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import InputError
from schemas.prompt import Prompt
from schemas.taxonomy import UNSAFEBENCH
from stages.prompts.coprov2 import CoProV2
from stages.prompts.diffusiondb import DiffusionDB
from stages.prompts.files import PromptFile
from stages.prompts.hub import HubPrompts
from stages.prompts.i2p import I2P
from stages.prompts.overt import OVERT
from stages.prompts.t2i_riskyprompt import T2IRiskyPrompt


def table(path: Path, header: str, *rows: Iterable[str]) -> Path:
    """A CSV file."""
    with path.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([header.split(","), *rows])
    return path


def i2p(folder: Path) -> I2P:
    """Two prompts of the benchmark, with the settings that they were drawn with."""
    header = (
        "prompt,categories,hard,inappropriate_percentage,nudity_percentage,q16_percentage,sd_safety_percentage,prompt_toxicity,"
        "lexica_url,sd_seed,sd_guidance_scale,sd_image_width,sd_image_height,sd_model"
    )
    sea = ["a stormy sea, oil", "shocking, violence", *["0", "40.0", "0.0", "40.0", "0.0", "0.01"], "", "3"]
    harbour = ["a quiet harbour", "self-harm", *["1", "60.0", "0.0", "60.0", "0.0", "0.02"], "", "4"]
    drawn = ["7", "512", "512", "sd-v1-4"]
    return I2P(str(table(folder / "i2p_benchmark.csv", header, [*sea, *drawn], [*harbour, *drawn])))


def diffusiondb(folder: Path) -> DiffusionDB:
    """Three pictures, two of one prompt, all of one user."""
    shot = {
        "part_id": 1,
        "seed": 7,
        "step": 50,
        "cfg": 7.0,
        "sampler": 8,
        "width": 512,
        "height": 512,
        "user_name": "d7a0",
    }
    rows = [
        {"image_name": f"{n}.png", "prompt": text, **shot, "image_nsfw": 0.1, "prompt_nsfw": 0.01}
        for n, text in enumerate(["a red fox", "a red fox", "ein Haus am See"])
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "metadata.parquet")
    return DiffusionDB(str(folder / "metadata.parquet"))


def coprov2(folder: Path) -> Path:
    """A file of two prompts, which `PromptFile` reads too."""
    rows = ["0.jpg", "a loud crowd", "hate"], ["1.jpg", "a park", "hate"]
    return table(folder / "CoProv2_train.csv", "image,prompt,category", *rows)


def overt(folder: Path) -> OVERT:
    """A benign prompt that sounds otherwise."""
    row = ["how to kill time", "a man killing time at a station", "violence", "converted_from_wildguardmix"]
    return OVERT(str(table(folder / "OVERT_mini.csv", "seed_prompt,image_prompt,category,generation_type", row)))


def overt_pairs(folder: Path) -> OVERT:
    """An unsafe prompt and its benign twin."""
    header = "seed_prompt,unsafe_image_prompt,benign_image_prompt,category,generation_type"
    unsafe, benign = "a wall being sprayed at night", "a wall being painted by its owner"
    row = ["graffiti", unsafe, benign, "illegal_activities", "template"]
    return OVERT(str(table(folder / "OVERT_unsafe.csv", header, row)))


def risky(folder: Path) -> T2IRiskyPrompt:
    """Two prompts with the words that are to blame, by category."""
    records = {
        "0": {"prompt": "a red stain", "label": {"Violence--Blood": ["red"], "Disturbing--Terror": ["stain"]}},
        "7": {"prompt": "a known mouse", "label": {"Copyright--Copyright": ["mouse"]}},
    }
    path = folder / "T2I-RiskyPrompt.json"
    path.write_text(json.dumps(records))
    return T2IRiskyPrompt(str(path))


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Iterable[Prompt]]:
    """One of each, on a small file in its layout."""
    return {
        "i2p": i2p(tmp_path),
        "diffusiondb": diffusiondb(tmp_path),
        "coprov2": CoProV2(str(coprov2(tmp_path))),
        "overt": overt(tmp_path),
        "overt_pairs": overt_pairs(tmp_path),
        "t2i_riskyprompt": risky(tmp_path),
        "file": PromptFile(coprov2(tmp_path)),
    }


def test_i2p_carries_categories_licence_and_the_seed_of_its_authors(sources: dict[str, Iterable[Prompt]]) -> None:
    assert list(sources["i2p"]) == [
        Prompt("a stormy sea, oil", None, "en", "i2p", "1", "MIT", "shocking, violence", "unsafe", seed=3),
        Prompt("a quiet harbour", None, "en", "i2p", "2", "MIT", "self-harm", "unsafe", seed=4),
    ]


def test_diffusiondb_carries_the_name_of_the_picture_and_no_user(sources: dict[str, Iterable[Prompt]]) -> None:
    prompts = list(sources["diffusiondb"])
    assert prompts[2] == Prompt("ein Haus am See", None, None, "diffusiondb", "2.png", "CC0-1.0")
    assert "d7a0" not in repr(prompts)


def test_coprov2_carries_picture_and_category(sources: dict[str, Iterable[Prompt]]) -> None:
    assert next(iter(sources["coprov2"])) == Prompt("a loud crowd", None, "en", "coprov2", "0.jpg", "MIT", "hate")


def test_coprov2_without_its_further_columns_is_read_too(tmp_path: Path) -> None:
    path = table(tmp_path / "CoProv2_test.csv", "prompt", ["a park"])
    assert list(CoProV2(str(path))) == [Prompt("a park", None, "en", "coprov2", "1", "MIT")]


def test_overt_is_benign_and_its_pairs_are_both(sources: dict[str, Iterable[Prompt]]) -> None:
    assert list(sources["overt"]) == [
        Prompt("a man killing time at a station", None, "en", "overt", "1", "Apache-2.0", "violence", "safe")
    ]
    assert [(p.source_id, p.label, p.text) for p in sources["overt_pairs"]] == [
        ("1/unsafe", "unsafe", "a wall being sprayed at night"),
        ("1/safe", "safe", "a wall being painted by its owner"),
    ]


def test_t2i_riskyprompt_carries_ids_and_both_levels(sources: dict[str, Iterable[Prompt]]) -> None:
    first, second = sources["t2i_riskyprompt"]
    assert (first.source_id, first.category) == ("0", "Violence--Blood; Disturbing--Terror")
    assert (second.source_id, second.text) == ("7", "a known mouse")


def test_what_sources_claim_is_mapped_by_the_taxonomy(sources: dict[str, Iterable[Prompt]]) -> None:
    claims = {
        (prompt.source, prompt.category): UNSAFEBENCH.of(prompt.source, prompt.category)
        for name, source in sources.items()
        for prompt in source
        if prompt.category is not None and name != "file"
    }
    assert len(claims) == 7
    assert all(ours is not None for ours in claims.values())


def test_every_source_is_a_frozen_value_that_gives_the_same_prompts_twice(sources: dict[str, Iterable[Prompt]]) -> None:
    for source in sources.values():
        prompts = list(source)
        assert list(source) == prompts
        assert list(pickle.loads(pickle.dumps(source))) == prompts
        assert pickle.loads(pickle.dumps(source)) == source


@pytest.mark.parametrize("source", [I2P, DiffusionDB, CoProV2])
def test_another_layout_is_an_error_when_the_source_is_made(
    source: type[I2P | DiffusionDB | CoProV2], tmp_path: Path
) -> None:
    other = table(tmp_path / "other.csv", "text,x", ["a", "b"])
    with pytest.raises(
        InputError, match=r"other\.csv has no column 'prompt', only 'text', 'x' \(is it the file as published"
    ):
        source(str(other))
    with pytest.raises(InputError, match="there is no file"):
        source(str(tmp_path / "gone.csv"))


def test_a_table_of_another_layout_is_not_overt(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not laid out as OVERT"):
        OVERT(str(table(tmp_path / "other.csv", "text,category", ["a", "b"])))


@pytest.mark.parametrize(
    ("content", "message"), [("[]", "not laid out"), ('{"a": 1}', "not laid out"), ("{", "can't be read as JSON")]
)
def test_a_json_of_another_layout_is_not_t2i_riskyprompt(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(InputError, match=message):
        T2IRiskyPrompt(str(tmp_path / "x.json"))


def test_t2i_riskyprompt_without_its_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        T2IRiskyPrompt(str(tmp_path / "gone.json"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A datasets folder of data files with a card."""
    folder = tmp_path / "made_here"
    folder.mkdir()
    rows = [{"caption": "a red fox", "id": 5, "language": "en"}, {"caption": "un renard", "id": 6, "language": "fr"}]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n# Made here\n")
    return folder


def test_a_datasets_folder_is_streamed_with_its_licence(folder: Path) -> None:
    prompts = HubPrompts(str(folder), column="caption")
    assert list(prompts) == [
        Prompt("a red fox", None, "en", "made_here", "5", "cc-by-4.0"),
        Prompt("un renard", None, "fr", "made_here", "6", "cc-by-4.0"),
    ]
    assert list(prompts) == list(prompts)


def test_what_save_to_disk_wrote_is_read_split_by_split(tmp_path: Path) -> None:
    import datasets

    train = datasets.Dataset.from_dict({"prompt": ["one", "two"], "n": [1, 2]})
    train.save_to_disk(tmp_path / "one_split")
    datasets.DatasetDict({"train": train, "test": train.select([0])}).save_to_disk(tmp_path / "splits")
    assert [p.text for p in HubPrompts(str(tmp_path / "one_split"))] == ["one", "two"]
    assert [p.source_id for p in HubPrompts(str(tmp_path / "splits"), split="test")] == ["1"]
    with pytest.raises(InputError, match="no split 'dev'"):
        list(HubPrompts(str(tmp_path / "splits"), split="dev"))
    assert [p.text for p in CoProV2(str(tmp_path / "one_split"))] == ["one", "two"]


def test_a_wrong_column_or_dataset_is_one_clear_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no column 'captions', only .*did you mean 'caption'"):
        list(HubPrompts(str(folder), column="captions"))
    with pytest.raises(InputError, match="has no column 'prompt'"):
        list(I2P(str(folder)))
    with pytest.raises(InputError, match="can't be read"):
        list(HubPrompts(str(tmp_path / "nothing"), column="caption"))
    (folder / "train.jsonl").write_text('{"caption": "a"}\n{"caption": \n')
    with pytest.raises(InputError, match="made_here"):
        list(HubPrompts(str(folder), column="caption"))
