"""`jobs/evaluate.py` on a small run: rows for every scorer and attack, resumed where it stopped, and figures out of rows alone."""

import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from classifiers.evaluation.attack_suite import CURVE, trials_of
from classifiers.evaluation.cases import cases_of
from classifiers.evaluation.overview import FLAGS_ALL, overview, warnings
from classifiers.evaluation.results import RESULT_SCHEMA
from classifiers.evaluation.scoring import Relabeller
from classifiers.evaluation.tasks import attacked_rows
from classifiers.evaluation.variants import variants_of
from classifiers.evaluation.worker import shuffled
from jobs import evaluate
from pipeline.catalogue.duck import scratch_database
from pipeline.catalogue.views import open_views, refresh
from schemas.errors import InputError
from stages.label.by_name import labellers_of
from tests.support.commands import call as run_here
from tests.support.labelled_run import labelled_run, recipe_of_labelled_run, trained_model

QUICK = ("--strength", "quick")
WORLD_LABELLERS = "scene_truth,tagger_truth,prompt_truth"
Said = dict[str, Any]


def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[Said, str]:
    """The command's figures, and what it said it did."""
    store = labelled_run()
    for kind in ("text", "image", "late_fusion"):
        trained_model(kind)
    assert run_here(evaluate, store.url, "--workers", "1", "--json", *arguments) == 0
    out = capsys.readouterr()
    found: Said = json.loads(Path(json.loads(out.out.splitlines()[-1])["figures"]).read_text())
    return found, out.err


def row_of(rows: list[Said], **wanted: object) -> Said:
    (found,) = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    return found


def test_every_scorer_judges_every_row_and_a_second_call_judges_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = "text,image,late_fusion"
    said, done = call(monkeypatch, capsys, "--classifiers", names)
    assert "late_fusion/none/00000.parquet" in done
    store = labelled_run()
    cases = cases_of(store, "test")
    rows = duckdb.sql(f"SELECT * FROM read_parquet('{store.url}/results/test/*/none/*.parquet')").to_arrow_table()
    assert rows.schema.names == RESULT_SCHEMA.names and len(rows) == 3 * len(cases)
    assert set(rows["label"].to_pylist()) <= {"safe", "unsafe"}
    for scorer in names.split(","):
        n = row_of(said["detection"], scorer=scorer, attack="none", kind="prompts", slice="grammar", measure="accuracy")
        assert 0 <= n["low"] <= n["value"] <= n["high"] <= 1 and n["roots"] == len({case.sample.root for case in cases})
    assert {row["scorer"] for row in said["detection"] if row["attack"] == "shuffled_prompts"} == {
        "text",
        "late_fusion",
    }
    again, done = call(monkeypatch, capsys, "--classifiers", names)
    assert "parquet" not in done
    drop = ("latency",)
    assert {k: v for k, v in again.items() if k not in drop} == {k: v for k, v in said.items() if k not in drop}


def test_the_answer_is_one_small_table_and_the_summary_is_small(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = "text,image,late_fusion"
    figures, _ = call(monkeypatch, capsys, "--classifiers", names)
    assert run_here(evaluate, labelled_run().url, "--workers", "1", "--json", "--classifiers", names) == 0
    *printed, line = capsys.readouterr().out.splitlines()
    summary = json.loads(line)
    assert len(line) <= 4096 and {row["scorer"] for row in summary["overview"]} == {*names.split(","), FLAGS_ALL}
    place = next(number for number, text in enumerate(printed) if "missed under attack" in text)
    assert len(printed) - place <= 18, "the answer fits on half a screen"
    said = "\n".join(printed)
    assert "not attacked" in said and "unsafe rows are few" in said and "summary-text-image-late_fusion.txt" in said
    tables = Path(summary["figures"]).with_suffix(".txt").read_text()
    assert "rows as they are" in tables and "worst case" not in tables
    for row in figures["overview"]:
        assert row["f1"] is None or row["f1"]["low"] <= row["f1"]["value"] <= row["f1"]["high"]
    everything = row_of(figures["overview"], scorer=FLAGS_ALL)
    share = everything["unsafe"] / everything["rows"]
    assert everything["f1"]["value"] == pytest.approx(2 * share / (1 + share)) and everything["missed"]["value"] == 0


def test_the_overview_compares_on_the_same_roots_and_says_what_is_useless() -> None:
    def rows(scorer: str, caught: float, flags: float, roots: int) -> list[Said]:
        return [{"scorer": scorer, "root": str(root), "caught": caught * (root % 2), "false_flags": flags * (1 - root % 2),
                 "unsafe": root % 2, "n": 1} for root in range(roots)]  # fmt: skip

    made = overview([*rows("good", 1, 0, 100), *rows("mute", 0, 0, 80), *rows("loud", 1, 1, 100)], [])
    assert [row["scorer"] for row in made] == ["good", "loud", "mute", FLAGS_ALL]
    assert made[0]["gain_over"] == "loud" and made[0]["f1_gain"]["value"] == pytest.approx(1 - 2 / 3)
    assert made[0]["f1_gain"]["low"] > 0 and made[1]["f1_gain"]["value"] == 0
    said = warnings(made)
    assert "mute flags nothing of 80 rows" in said and "loud flags all of 100 rows" in said and len(said) == 2
    assert any("unsafe rows are few" in text for text in warnings(overview(rows("good", 1, 0, 20), [])))


def test_a_torn_or_missing_chunk_is_made_again_and_comes_out_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call(monkeypatch, capsys, "--classifiers", "text")
    chunk = Path(labelled_run().url, "results/test/text/none/00000.parquet")
    whole = chunk.read_bytes()
    for harm in (lambda: chunk.write_bytes(whole[:100]), chunk.unlink):
        harm()
        _, done = call(monkeypatch, capsys, "--classifiers", "text")
        assert "text/none/00000" in done and chunk.read_bytes() == whole


def test_blind_attacks_give_variants_of_the_same_rows_to_every_scorer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said, _ = call(
        monkeypatch, capsys, "--classifiers", "text,late_fusion", "--attacks", "homoglyphs,recompress", "--rows", "8,4"
    )
    store = labelled_run()
    rows = duckdb.sql(f"""
        SELECT scorer, attack, count(*) AS n, count(DISTINCT sample) AS samples, max(variant) AS last, any_value(setting)
        FROM read_parquet('{store.url}/results/test/*/*-non_adaptive/*.parquet') GROUP BY ALL ORDER BY ALL
    """).fetchall()
    chosen = len(attacked_rows(cases_of(store, "test"), (8, 4)))
    assert [row[:2] for row in rows] == [
        ("late_fusion", "homoglyphs"),
        ("late_fusion", "recompress"),
        ("text", "homoglyphs"),
    ]
    assert all(row[3] == chosen for row in rows) and rows[0][2] == 4 * chosen and rows[1][2] == chosen
    evasion = row_of(said["attacks"], scorer="text", attack="homoglyphs", measure="attack_success_rate")
    once = row_of(said["attacks"], scorer="text", attack="homoglyphs", measure="attack_success_rate_at_1")
    assert once["value"] <= evasion["value"]
    assert (
        row_of(said["worst"], scorer="late_fusion", suite="blind", measure="attack_success_rate")["value"]
        >= evasion["low"] - 1
    )


@pytest.mark.slow  # 27 s on a core: the ε-curve is 200 gradients a row
def test_adaptive_attacks_are_checked_and_the_catalogue_holds_their_rows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = labelled_run()
    lenient = trained_model("late_fusion").load()
    lenient.threshold = 0.2  # val is too small to choose one that lets anything be flagged
    lenient.save(Path(store.url, "models/lenient"))
    arguments = (
        "--classifiers",
        "lenient",
        "--attacks",
        "pgd,token_substitution",
        "--adaptive",
        "--rows",
        "6,3",
        *QUICK,
    )
    said, _ = call(monkeypatch, capsys, *arguments)
    with scratch_database() as con:
        refresh(store)
        open_views(con, store)
        rows = con.sql("""
            SELECT attack, max(distance), max(edits), bool_and(label_before <> 'unsafe' OR label <> 'safe' OR attack <> 'pgd'),
                count(*) FILTER (label = 'na') FROM results WHERE setting = 'adaptive' GROUP BY ALL ORDER BY ALL
        """).fetchall()
    assert rows[0][:3] == ("pgd", pytest.approx(2 / 255, abs=1e-6), None) and rows[0][3] and rows[0][4] == 0
    assert rows[1][0] == "token_substitution" and rows[1][2] <= 4
    checks = {row["name"]: row for row in said["sanity"]}
    assert checks["epsilon 0 changes nothing"]["holds"] and checks["pgd at least fgsm"]["holds"]
    assert (
        checks["128/255 gets past 9 in 10 that the words do not decide"]["holds"]
        and checks["logits and scores decide alike"]["holds"]
    )
    curve = {row["epsilon"]: row["value"] for row in said["attacks"] if row["setting"] == "sanity" and row["attack"] == "pgd"
             and row["measure"] == "attack_success_rate"}  # fmt: skip
    values = [curve[epsilon] for epsilon in sorted(curve)]
    assert len(values) == len(CURVE) and values == sorted(values)


def test_an_adaptive_variant_keeps_to_the_budget_and_to_the_truth() -> None:
    cases = attacked_rows(cases_of(labelled_run(), "test"), (4, 2))
    (trial,) = trials_of(["fgsm"], True, (4, 2))
    model = trained_model("late_fusion").load()
    model.threshold = 0.2  # so that the unsafe rows are flagged
    made = variants_of(trial, lambda label: model, cases, Relabeller(()))
    assert [variant.clean for variant in made] == cases
    moved = []
    for variant in made:
        assert variant.case.truth == variant.clean.truth and variant.record is not None
        before, after = variant.clean.sample.pixels, variant.case.sample.pixels
        assert before is not None and after is not None
        moved.append(np.abs(before.astype(int) - after.astype(int)).max())
    assert max(moved) in (1, 2), "rows that are misjudged already stay as they are, the others move"


def test_changed_words_are_read_anew_by_judges_and_unknown_without() -> None:
    cases = attacked_rows(cases_of(labelled_run(), "test"), (6, 3))
    (trial,) = trials_of(["distractors"], False, (6, 3))
    model = trained_model("text").load()
    judges = recipe_of_labelled_run().judges
    assert isinstance(judges, tuple)
    read = variants_of(trial, lambda label: model, cases, Relabeller(labellers_of(",".join(judges))))
    alone = variants_of(trial, lambda label: model, cases, Relabeller(()))
    assert len(read) == len(alone) == 4 * len(cases)
    for known, unknown in zip(read, alone, strict=True):
        assert known.case.sample.prompt == unknown.case.sample.prompt != known.clean.sample.prompt
        assert known.case.truth["image"] == unknown.case.truth["image"] == known.clean.truth["image"]
        assert unknown.case.truth["pair"].label == "na"
        if known.clean.truth["image"].label == "unsafe":
            assert known.case.truth["pair"].label == "unsafe", "an unsafe picture stays one, whatever the words"


def test_shuffled_prompts_are_all_anothers_and_labels_stay() -> None:
    cases = cases_of(labelled_run(), "test")
    mixed = shuffled(cases)
    kept = {case.sample.key: case for case in cases if case.sample.clean}
    assert sorted(case.sample.prompt for case in mixed.values()) == sorted(c.sample.prompt for c in kept.values())
    assert all(mixed[key].truth == case.truth for key, case in kept.items())
    assert sum(mixed[key].sample.prompt == case.sample.prompt for key, case in kept.items()) == 0


def test_somebody_elses_folder_is_judged_and_refused_where_it_does_not_fit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "pairs"
    folder.mkdir()
    with pytest.raises(InputError, match=r"metadata\.csv"):
        cases_of(labelled_run(), str(folder))
    for number in range(3):
        Image.fromarray(np.full((48, 80, 3), 60 * number, dtype=np.uint8)).save(folder / f"{number}.png")
    table = folder / "metadata.csv"
    table.write_text(
        "file_name,prompt,label,language,source\n0.png,an apple,safe,en,forum\n1.png,ein Apfel,unsafe,de,forum\n"
    )
    said, _ = call(monkeypatch, capsys, "--classifiers", "late_fusion", "--data", str(folder))
    languages = {
        row["slice"]: row["roots"]
        for row in said["detection"]
        if row["kind"] == "language" and row["measure"] == "accuracy"
    }
    assert languages == {"de": 1, "en": 1} and said["dataset"] == "pairs"
    assert row_of(said["detection"], attack="none", kind="prompts", slice="human", measure="accuracy")["roots"] == 2
    for line, match in (("2.png,x,bad,en,forum", "expected safe, unsafe"), ("../x.png,x,safe,en,f", "no picture")):
        table.write_text(f"file_name,prompt,label,language,source\n{line}\n")
        with pytest.raises(InputError, match=match):
            cases_of(labelled_run(), str(folder))


def test_what_cannot_be_evaluated_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, match in (
        (("--attacks", "pgd"), "add --adaptive"),
        (("--attacks", "nothing"), "expected names"),
        (("--data", "/nowhere"), "expected test, val"),
    ):
        with pytest.raises(InputError, match=match):
            call(monkeypatch, capsys, "--classifiers", "text", *arguments)
    with pytest.raises(InputError, match="no classifier"):
        call(monkeypatch, capsys, "--classifiers", "nobody")


def test_results_hold_no_prompt() -> None:
    assert not {"prompt", "text", "generation_prompt"} & set(RESULT_SCHEMA.names)
    for path in Path(labelled_run().url).glob("results/**/*.parquet"):
        assert "prompt" not in pq.read_schema(path).names
