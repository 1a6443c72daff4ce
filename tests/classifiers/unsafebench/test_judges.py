"""A labeller and a chat service judge pictures as any other scorer does."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from classifiers.layers.encoder import ClipEncoder
from classifiers.unsafebench.dataset.images import REAL, Picture
from classifiers.unsafebench.dataset.world_pool import TRAINING, world_pool
from classifiers.unsafebench.judges.published_zoo import attackable, digest, in_place, loaded
from classifiers.unsafebench.judges.remote_judges import ChatJudge, LabellerJudge, by_labellers, by_service
from classifiers.unsafebench.protocol import Bench, effectiveness
from classifiers.zoo.either import Either
from classifiers.zoo.nude_net import NudeNetJudge
from classifiers.zoo.q16 import Q16Judge
from pipeline.storage.weights import model_directory
from schemas.errors import InputError
from schemas.protocols import Inputs, Scorer
from schemas.taxonomy import UNSAFEBENCH
from stages.label.tagger_truth import TaggerTruth
from stages.remote.address import Address
from stages.remote.chat_client import ChatClient
from tests.support.chat_server import ChatServer, serving

INPUTS = Inputs(("", ""), torch.rand((2, 3, 16, 16), generator=torch.Generator().manual_seed(0)))


def test_a_labeller_is_a_scorer_of_what_it_covers() -> None:
    judge = LabellerJudge(TaggerTruth())
    assert isinstance(judge, Scorer) and set(judge.coverage.categories) == set(UNSAFEBENCH.ids)
    samples = world_pool(REAL, 6, 3, TRAINING)
    pixels = torch.from_numpy(np.stack([s.pixels for s in samples])).permute(0, 3, 1, 2).float() / 255  # type: ignore[type-var]
    scores = judge.score(Inputs(("",) * 6, pixels))
    votes = [
        next(vote.label for vote in made.votes if vote.scope == "image")
        for made in TaggerTruth(batch_size=1).open()(samples[:1])
    ]
    assert scores.unsafe["image"].shape == (6,) and scores.categories["image"].shape == (6, 11)
    assert bool(scores.unsafe["image"][0] == 1) == (votes[0] == "unsafe")


def test_a_chat_service_is_asked_three_questions_a_picture_and_costs_what_its_tokens_cost() -> None:
    with serving(ChatServer(answer="unsafe")) as server:
        judge = service(server)
        assert isinstance(judge, Scorer)
        assert judge.score(INPUTS).unsafe["image"].tolist() == [1.0, 1.0]
        assert len(server.requests) == 6
        asked = [
            part["text"] for request in server.requests for part in request["messages"][0]["content"] if "text" in part
        ]
        assert sum(text.startswith("Forget about your definition") for text in asked) == 2
        assert judge.dollars == pytest.approx(6 * (100 * 10 + 20 * 30) / 1e6)


def test_a_service_that_fails_is_uncertain_so_a_seeded_coin_decides() -> None:
    with serving(ChatServer(fail_first=100, fail_status=503)) as server:
        first, again = (service(server).score(INPUTS).unsafe["image"] for _ in range(2))
    assert torch.equal(first, again) and set(first.tolist()) <= {0.0, 1.0}


def test_what_a_service_was_paid_for_is_not_asked_again(tmp_path: Path) -> None:
    pictures = [Picture(f"{n:032x}", np.full((16, 16, 3), n, np.uint8), REAL, "hate", n == 1) for n in range(2)]
    with serving(ChatServer(answer="unsafe")) as server:
        for _ in range(2):
            judge = by_service(server.model, "10,30", lambda answers: list(answers))
            bench = Bench(
                tmp_path, ClipEncoder.from_directory(model_directory("assets/world/clip")), pictures, 16, blur=False
            )
            (cost,) = effectiveness(bench, [judge])["cost"]
            assert cost["dollars"] == pytest.approx(6 * (100 * 10 + 20 * 30) / 1e6) and cost["seconds"] > 0
        assert len(server.requests) == 6
    cells = pq.read_table(tmp_path / "tables" / "table_4.parquet").to_pylist()
    assert {(row["part"], row["category"]): row["f1"] for row in cells}[REAL, "hate"] == pytest.approx(2 / 3)
    with pytest.raises(InputError, match="expected dollars"):
        by_service(server.model, "ten", lambda answers: list(answers))


def test_labellers_judge_by_name_and_one_of_words_is_refused() -> None:
    (judge,) = by_labellers("tagger_truth")
    assert judge.name == "tagger_truth/tagger_labeller"
    with pytest.raises(InputError, match="profanity: it votes on prompt, and not on pictures"):
        by_labellers("profanity")


def service(server: ChatServer) -> ChatJudge:
    client = ChatClient(Address.of(server.model, ()), 2, 1, 10.0, 20, "NO_KEY", first_pause=0.01)
    return ChatJudge("service", client, lambda answers: list(answers), prices=(10.0, 30.0))


def test_published_weights_take_the_place_of_fitted_ones_and_are_attacked_only_by_digest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = ClipEncoder.from_directory(model_directory("assets/world/clip"))
    np.save(tmp_path / "prompts.npy", np.eye(2, encoder.width, dtype=np.float32))
    published = loaded(f"q16={tmp_path / 'prompts.npy'}", encoder)
    fitted, nude = Q16Judge.untrained(encoder), NudeNetJudge.untrained()
    zoo = in_place([fitted, nude, Either("q16+nude_net", [fitted, nude])], published)
    assert zoo[0] is published["q16"] and zoo[1] is nude
    rule = zoo[2]
    assert isinstance(rule, Either) and rule.judges == (published["q16"], nude)
    assert attackable(zoo, ["q16"], "") == [nude]
    assert digest(zoo[0]) in capsys.readouterr().out and digest(zoo[0]) != digest(fitted)
    assert attackable(zoo, ["q16"], digest(zoo[0])) == [zoo[0], nude]
    with pytest.raises(InputError, match="expected NAME=PATH with a name out of q16"):
        loaded("nude_net=x.pt", encoder)
