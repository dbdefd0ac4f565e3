"""The causal engine as a ranker and a judge: what is shared must not change a score."""

import numpy as np
import pytest
import torch

from labelloop.engines import Ask, Manner
from labelloop.engines.causal import Causal
from labelloop.engines.trees import grow
from labelloop.errors import ItemError, ModelError
from support import tiny_models

TEXTS = ["The team won the final by two goals.", "Shares of the bank fell.", "a <|im_end|> b"]
TOLD = [["Topic: ⟦sports⟧"], ["Topic: ⟦sports and games⟧"], ["Topic: ⟦business⟧", "It is about ⟦money⟧."]]
LEAD = "".join(f"Text: {text}\nTopic: {label}\n\n" for text, label in [("It rains.", "weather")] * 6) + "Text: "


def make(kind: str = "Llama", **changes: object) -> Causal:
    return Causal(*tiny_models.causal(kind, **changes))


def by_hand(engine: Causal, text: str, told: str, lead: str) -> float:
    """The mean log-probability of the marked words behind the text, from one plain forward pass."""
    before, _, words = told.removesuffix(".").removesuffix("⟧").partition("⟦")
    plain, gap = engine.tokens_of, " " if lead.endswith(" ") else ""
    ids = [*engine._continuations._head, *plain(lead.removesuffix(" "))] or [engine._chat.end]
    ids += plain(gap + text)
    ids += plain("\n" + before.removesuffix(" "))
    label = plain(" " + words)
    with torch.inference_mode():
        chances = torch.log_softmax(engine._model(torch.tensor([[*ids, *label]])).logits[0], dim=-1)
    return float(np.mean([chances[len(ids) - 1 + place, token] for place, token in enumerate(label)]))


def test_scores_are_those_of_one_plain_pass_per_label(writer: Causal) -> None:
    for lead in ("", LEAD):
        scores = writer.rank(TEXTS, TOLD, lead)
        for text, row in zip(TEXTS, scores, strict=True):
            for told, score in zip(TOLD, row, strict=True):
                assert score == pytest.approx(np.mean([by_hand(writer, text, one, lead) for one in told]), abs=1e-3)
    assert writer.rank(TEXTS[:1], TOLD, LEAD)[0].argmax() == 0


@pytest.mark.parametrize("kind", ["Llama", "OPT", "Mistral", "Gemma2", "GPTNeoX", "Bloom"])
def test_every_architecture_scores_the_same_shared_or_not(kind: str) -> None:
    windowed = (
        {"sliding_window": 100, "num_key_value_heads": 1, "head_dim": 16} if kind in {"Mistral", "Gemma2"} else {}
    )
    engine = make(kind, **windowed)
    texts, lead = ["good", "it was bad and good or bad"], "it was about the weather and sports\n" * 2
    told = [["It was ⟦good⟧"], ["It was ⟦good and bad⟧"], ["⟦bad⟧"]]
    shared = engine.rank(texts, told, lead)
    np.testing.assert_allclose(shared, engine.rank_plainly(texts, told, lead), atol=1e-3)
    engine.shares = False
    np.testing.assert_allclose(shared, engine.rank(texts, told, lead), atol=1e-3)


def test_no_score_depends_on_other_texts_or_labels() -> None:
    engine = make()
    texts = ["good", "the weather was bad " * 20, ""]
    together = engine.rank(texts, TOLD)
    for text, row in zip(texts, together, strict=True):
        for told, score in zip(TOLD, row, strict=True):
            assert engine.rank([text], [told])[0, 0] == pytest.approx(score, abs=1e-4)


def test_labels_of_one_token_cost_nothing_and_shared_beginnings_are_read_once() -> None:
    assert grow([((5, 6), (1,)), ((5, 6), (2,)), ((5, 6), (3,))]).tokens == (5, 6)
    tree = grow([((5,), (1, 2, 3)), ((5,), (1, 2, 4))])
    assert tree.tokens == (5, 1, 2) and tree.asked[0][-1] == (3, 3) and tree.asked[1][-1] == (3, 4)


def test_many_labels_are_read_in_parts() -> None:
    engine = make()
    told = [[f"It is about ⟦{word}⟧"] for word in ("sports", "weather", "business", "good", "bad and good")]
    whole = engine.rank(["it was good"], told)
    engine._continuations._nodes = 8
    np.testing.assert_allclose(engine.rank(["it was good"], told), whole, atol=1e-4)


def test_a_long_text_is_read_in_windows_that_are_averaged_by_their_tokens() -> None:
    engine = make()
    text = "the weather was good and bad " * 30
    told = [["⟦good⟧"]]
    ids, size = engine.tokens_of(text), engine._continuations._size
    starts = engine._continuations._starts(tuple(ids))
    assert engine.windows([text, "good"]) == [len(starts), 1] and len(starts) > 2
    windows = [ids[start : start + size] for start in starts]
    alone = []
    for window in windows:
        given, words = engine._continuations._fill("⟦good⟧")
        row = [*engine._continuations._head, *window, *given, *words]
        with torch.inference_mode():
            chances = torch.log_softmax(engine._model(torch.tensor([row])).logits[0], dim=-1)
        at = len(row) - len(words) - 1
        alone.append(float(np.mean([chances[at + place, token] for place, token in enumerate(words)])))
    assert engine.rank([text], told)[0, 0] == pytest.approx(
        np.average(alone, weights=list(map(len, windows))), abs=1e-3
    )


def test_what_cannot_be_asked_is_named() -> None:
    engine = make()
    with pytest.raises(ModelError, match=r"no token for the label words.*Give the label other words"):
        engine.rank(["good"], [["It was ⟦ ⟧"]])
    with pytest.raises(ModelError, match=r"has \d+ tokens and a label \d+.*Shorten the demonstrations"):
        engine.rank(["good"], TOLD, LEAD)
    with pytest.raises(ValueError, match="at least one verbalization"):
        engine.rank(["good"], [[]])
    assert engine.rank([], TOLD).shape == (0, 3) and engine.rank(["good"], []).shape == (1, 0)
    assert np.isfinite(engine.rank(["\ud83d broken"], [["It is ⟦\ude42⟧"]])).all()


def test_a_judged_reply_has_the_log_probability_that_it_was_written_with(writer: Causal) -> None:
    asks = [Ask((("user", "What is the capital of France?"),)), Ask((("user", "Say hello."),), "Hel")]
    written = [replies[0] for replies in writer.write(asks, Manner(max_tokens=12))]
    judged = writer.judge(asks, [["Berlin", one.text, "The capital"] for one in written])
    assert judged[0][1] == pytest.approx(written[0].logprob, abs=1e-3)
    assert judged[0].argmax() == 1 and all(len(its) == 3 for its in judged)
    for ask, replies, found in zip(asks, [["Berlin"], ["lo!"]], writer.judge(asks, [["Berlin"], ["lo!"]]), strict=True):
        ids = writer._chat.read([ask])[0].ids
        told = [*writer.tokens_of(replies[0]), writer._chat.end]
        with torch.inference_mode():
            chances = torch.log_softmax(writer._model(torch.tensor([[*ids, *told]])).logits[0], dim=-1)
        wanted = np.mean([float(chances[len(ids) - 1 + place, token]) for place, token in enumerate(told)])
        assert found[0] == pytest.approx(wanted, abs=1e-3)


def test_judging_refuses_what_does_not_fit_and_takes_nothing() -> None:
    engine = make()
    ask = Ask((("user", "good"),))
    assert engine.judge([], []) == [] and engine.judge([ask], [[]])[0].shape == (0,)
    with pytest.raises(ItemError, match="do not fit into the model's context"):
        engine.judge([ask], [["good", "weather " * 60]])
