"""What the monotone judge of words certifies: other words cannot take evidence away."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.layers.monotone_text import MonotoneText

WIDTH, CONCEPTS, VOCABULARY = 16, 5, 40


def judge(scale: float = 1.5) -> tuple[MonotoneText, torch.Tensor]:
    """One whose terms are large and of both signs, as after training, and a table of token vectors."""
    torch.manual_seed(0)
    model = MonotoneText(WIDTH, CONCEPTS)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(scale) if parameter.ndim else parameter.fill_(-1.0)
        for part in (model.alone, model.beside):
            part.bias.zero_()
    return model.eval(), torch.randn(VOCABULARY, WIDTH)


words = st.lists(st.integers(0, VOCABULARY - 1), min_size=0, max_size=8)


@settings(max_examples=150, deadline=None)
@given(kept=words, others=words, instead=words, shuffled=st.randoms(), picture=st.booleans())
def test_no_exchange_of_other_words_lowers_the_score_below_its_certificate(
    kept: list[int], others: list[int], instead: list[int], shuffled: object, picture: bool
) -> None:
    """Exchanged, left out, put in, and all of them in another order."""
    model, table = judge()
    seen = torch.linspace(-3, 3, CONCEPTS)[None] if picture else None
    before = [*kept, *others]
    after = [*kept, *instead]
    shuffled.shuffle(after)  # type: ignore[attr-defined]

    def told(ids: list[int], mask: int | None = None) -> float:
        length = max(1, len(ids))
        read = torch.arange(length)[None] < len(ids)
        tokens = table[torch.tensor(ids or [0])][None]
        with torch.no_grad():
            if mask is None:
                return float(model(tokens, read, seen))
            return float(model.certificate(tokens, read, torch.arange(length)[None] < mask, seen))

    certified = told(before, len(kept))
    assert told(before) >= certified - 1e-4
    assert told(after) >= certified - 1e-4


def test_more_seen_in_the_picture_never_lowers_the_score() -> None:
    model, table = judge(scale=1.0)
    tokens, read = table[:6][None], torch.ones(1, 6, dtype=torch.bool)
    with torch.no_grad():
        told = [float(model(tokens, read, torch.full((1, CONCEPTS), level))) for level in (-9.0, -1.0, 0.0, 1.0, 9.0)]
    assert told == sorted(told) and told[-1] > told[0]


def test_every_word_and_the_picture_have_a_gradient() -> None:
    model, table = judge(scale=1.0)
    tokens = table[:4][None].clone().requires_grad_(True)
    seen = torch.zeros(1, CONCEPTS, requires_grad=True)
    model(tokens, torch.ones(1, 4, dtype=torch.bool), seen).sum().backward()
    assert tokens.grad is not None and bool(tokens.grad.abs().sum(-1).all())
    assert seen.grad is not None and bool(seen.grad.all())


def test_padding_and_company_change_nothing() -> None:
    model, table = judge()
    alone = model(table[:3][None], torch.ones(1, 3, dtype=torch.bool))
    padded = torch.cat([table[:3], table[30:34]])[None].expand(2, -1, -1)
    read = torch.arange(7) < torch.tensor([[3], [7]])
    assert torch.allclose(alone, model(padded, read)[:1], atol=1e-5)


def test_a_prompt_without_words_has_no_evidence() -> None:
    model, table = judge()
    with torch.no_grad():
        told = model(table[:2][None], torch.zeros(1, 2, dtype=torch.bool), torch.full((1, CONCEPTS), 9.0))
    assert float(told) < -5
