"""A run drawn behind an address: refusals have a table, keys stand nowhere, and nobody is promised its bytes again."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench import remote_images
from bench.faulty_images import FaultyImages, faulty
from jobs import generate, query, retry, revoke, verify
from jobs.recipes.named import chosen, recipe_of
from pipeline.release.recipe_parts import refuse_unmade
from pipeline.rounds.existing_run import existing_run
from schemas.errors import InputError
from schemas.prompt import Prompt
from schemas.run import RunConfig
from schemas.sample import Sample
from stages.prompts.gated import Gated
from tests.support.chat_server import ChatServer, serving
from tests.support.commands import call
from tests.support.runs import rows


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    file = tmp_path / "prompts.txt"
    file.write_text("\n".join(f"a thing of number {number}" for number in range(40)) + "\n")
    return file


def asked(out: Path, prompts: Path, server: FaultyImages) -> tuple[object, ...]:
    given = (
        "--model",
        server.model,
        "--recipe",
        "diffusion",
        "--restricted",
        "--engine",
        "local",
        "--image-price",
        0.5,
    )
    return ("--out", out, "--prompts", prompts, *given)


def test_refusals_are_asked_for_and_revoked_and_faults_are_tried_again(
    tmp_path: Path, prompts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    with faulty(FaultyImages(refuses=0.2, garbles=0.2, lasting=1)) as server:
        assert call(generate, *asked(out, prompts, server)) == 3
        refused, failed = rows(out, "refused"), rows(out, "quarantine")
        assert len(refused) + len(failed) + len(rows(out)) == 40 and len(refused) and len(failed)
        assert f"{len(refused)} were refused by the generator's own guard" in capsys.readouterr().out
        server.lasting = 0
        assert call(retry, out, "--engine", "local") == 0
    assert call(query, out, "SELECT refused, generator IS NOT NULL AS told, count(*) FROM refusals GROUP BY ALL") == 0
    assert call(query, out, "SELECT sum(cost) = 0.5 * count(*) AS paid, any_value(round) FROM samples") == 0
    told = capsys.readouterr().out
    assert "content_policy" in told and "true" in told.lower() and call(verify, out) == 0
    key, root = refused["key"][0].as_py(), refused["root"][0].as_py()
    with pytest.raises(InputError, match="its bytes cannot be made again"):
        call(query, out, "regenerate", rows(out)["key"][0].as_py())
    gone = tmp_path / "keys.txt"
    gone.write_text(f"{root}\n")
    assert call(revoke, out, "--keys", gone, "--reason", "a test") == 0
    assert key not in rows(out, "refused")["key"].to_pylist() and call(verify, out) == 0


def test_the_same_command_goes_on_and_pays_for_nothing_twice(tmp_path: Path, prompts: Path) -> None:
    out = tmp_path / "run"
    with faulty(FaultyImages(refuses=0.1)) as server:
        for _ in range(2):
            assert call(generate, *asked(out, prompts, server)) == 0
        assert len(server.asked) == 40
    _, facts = existing_run(str(out))
    with pytest.raises(InputError, match="nobody can make it again"):
        refuse_unmade(facts, str(out))


def test_an_address_goes_where_it_can_be_asked() -> None:
    config = RunConfig("x", recipe="diffusion", model="openai:http://127.0.0.1:9/v1#m", restricted=True)
    assert recipe_of(chosen(replace(config, size="64x64,96x64", steps="4"))).stages[1].name == "vary_settings"
    for wrong, said in (
        ({"recipe": "sd15"}, "recipe sd15 loads its weights itself"),
        ({"restricted": False}, "Add --restricted"),
        ({"scheduler": "dpm"}, "scheduler dpm: a generator behind an address takes none"),
        ({"model": None, "image_price": 1.0}, "--image-price: goes with"),
        ({"writer": "chat:http://127.0.0.1:9/v1#m"}, "with --recipe rewrite"),
    ):
        with pytest.raises(InputError, match=said):
            recipe_of(chosen(replace(config, **wrong)))  # type: ignore[arg-type]


def test_an_address_is_explained_without_being_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(generate, "--explain", "--model", "openai:http://127.0.0.1:9/v1#m") == 0
    told = capsys.readouterr().out
    assert "HAZMAT_GENERATOR_KEY is not set" in told and "never" in told


def test_a_writer_behind_an_address_writes_what_the_gate_lets_by(tmp_path: Path) -> None:
    with serving(ChatServer(answer="A red apple lies on a table. And more.")) as server:
        config = RunConfig("x", recipe="rewrite", writer=f"chat:{server.model}", count=3)
        writer, gate, *_ = recipe_of(chosen(config)).stages
        roots = [Sample.from_prompt(Prompt(text), 0) for text in ("an apple", "a pear")]
        children = list(gate.open()(list(writer.open()(roots))))
    assert [child.prompt for child in children] == ["A red apple lies on a table."] * 2 and writer.level == "L0"
    assert {child.parent for child in children} == {root.key for root in roots}
    assert server.requests[0]["temperature"] == 0.7 and "an apple" in server.requests[0]["messages"][0]["content"]
    assert isinstance(gate, Gated), "nothing that was written goes on ungated"


@pytest.mark.slow
def test_of_a_faulty_service_every_row_is_accounted_for_once_though_the_run_was_killed(tmp_path: Path) -> None:
    server = replace(remote_images.SERVER, garbles=0.05)
    told = remote_images.killed_and_resumed(server, 400, tmp_path)
    assert told["raw"] and told["refused"] and told["quarantine"]
