from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

from skillsengine.spec.schema import Lora, Train
from skillsengine.tracking.card import CardFacts, model_card, public_name

FACTS = CardFacts(
    model="job-skills",
    number=7,
    experiment="job-skills-demo",
    description="",
    owner="people of talent",
    source="data/{partition}.jsonl",
    base={
        "model": "smollm2-135m-instruct",
        "revision": None,
        "quantization": "none",
        "device": "cpu",
        "dtype": "float32",
        "weights_sha256": "ab" * 32,
    },
    template="### Job Description: {text}\n### Skills:",
    max_new_tokens=128,
    cleaning=("html", "whitespace"),
    shots=4,
    lora=Lora(r=8, alpha=16),
    train=Train(learning_rate=1e-3, epochs=2),
    trained_on=("2026-04", "2026-05"),
    training={"train_rows": 120, "validation_rows": 12, "steps": 60, "train_loss": 0.71349, "validation_loss": None},
    lengths={"max_length": 160, "rows_cut": 3},
    metrics={
        "adapter": {
            "partition": "2026-06",
            "rows": 24,
            "excluded_trained_on": 1,
            "excluded_near_copies": 2,
            "gold_skills": 101,
            "precision": 0.61234,
            "recall": 0.5,
            "f1": 0.55,
            "verbatim_rate": 0.98,
            "parse_rate": 1.0,
        },
        "base": {"partition": "2026-06", "rows": 25, "excluded_trained_on": 0, "verbatim_rate": 0.7, "parse_rate": 0.5},
    },
    lineage={"finetune": "f" * 64, "format": {"2026-04": "aa11"}},
)


def front_matter(card: str) -> dict[str, Any]:
    fields: dict[str, Any] = yaml.safe_load(card.split("---\n")[1])
    return fields


def on(base: str, **changes: Any) -> CardFacts:
    return replace(FACTS, base={**FACTS.base, "model": base, **changes})


def test_the_card_tells_scores_data_settings_limits_and_lineage() -> None:
    card = model_card(FACTS)
    for line in (
        "# job-skills@7",
        "skillsengine extract job-skills@7 ad.txt",
        "On partition 2026-06.",
        "| **this adapter** | 0.612 | 0.500 | 0.550 | 0.980 | 1.000 | 24 | 101 | 3 |",
        "| the untuned base, 4-shot | – | – | – | 0.700 | 0.500 | 25 | – | 0 |",
        "`data/{partition}.jsonl`. Partitions: 2026-04, 2026-05. 120 ads to train on, 12 held out for validation.",
        "| LoRA | r 8, alpha 16, dropout 0, on q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj |",
        "| learning rate | 0.001, linear, 0 warm-up steps |",
        "| training loss | 0.713 |",
        f"| base weights | sha256 `{'ab' * 32}` |",
        "| longest text | 160 tokens |",
        "- 3 training texts were longer than 160 tokens and were cut.",
        "- Its score rests on 101 gold skills only: differences of a few points are chance.",
        '  "2026-04": "aa11"',
        "cleaned before (html, whitespace)",
    ):
        assert line in card, line
    assert "lexicon of the training labels |" not in card  # it was not scored
    assert "validation loss" not in card  # there was none


def test_what_became_of_overlong_ads_is_a_limit() -> None:
    assert "trained on in parts" not in model_card(FACTS)
    split = model_card(replace(FACTS, lengths={"max_length": 160, "rows_cut": 0, "rows_split": 4}))
    assert "- 4 ads longer than 160 tokens were trained on in parts." in split and "were cut" not in split
    dropped = model_card(replace(FACTS, lengths={"max_length": 160, "rows_dropped": 5}))
    assert "- 5 ads longer than 160 tokens were not trained on." in dropped


def test_the_built_in_base_is_told_by_its_hub_id_and_licence() -> None:
    fields = front_matter(model_card(FACTS))
    assert fields["base_model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert (fields["license"], fields["base_model_relation"]) == ("apache-2.0", "adapter")
    assert "`store/bases/smollm2-135m-instruct`" in model_card(FACTS)


@pytest.mark.parametrize(
    ("base", "sha256", "expected"),
    [
        ("meta-llama/Llama-2-13b-hf", None, ("meta-llama/Llama-2-13b-hf", "llama2")),
        ("someone/model", None, ("someone/model", None)),
        ("models/tiny", "ab" * 32, (None, None)),
        ("./models/tiny", "ab" * 32, (None, None)),
        ("tiny", "ab" * 32, (None, None)),
    ],
)
def test_hub_id_and_licence_of_other_bases(
    base: str, sha256: str | None, expected: tuple[str | None, str | None]
) -> None:
    facts = on(base, weights_sha256=sha256)
    fields = front_matter(model_card(facts))
    assert (fields.get("base_model"), fields.get("license")) == expected
    assert ("licence of the base applies" in model_card(facts)) is (expected[1] is None)


def test_the_snippet_loads_the_base_as_it_was_trained() -> None:
    facts = on("org/model", weights_sha256=None, quantization="nf4", revision="c0ffee", dtype="bfloat16")
    card = model_card(facts)
    assert '"org/model", dtype=torch.bfloat16, revision="c0ffee", quantization_config=BitsAndBytesConfig(' in card
    assert "| base revision | `c0ffee` |" in card and "base weights" not in card
    assert "load_in_4bit=True" in card and "AutoTokenizer, BitsAndBytesConfig" in card
    assert "load_in_8bit=True" in model_card(on("org/model", quantization="int8"))
    compile(card.split("```python\n")[1].split("```")[0], "card", "exec")


def test_a_source_that_is_not_dated() -> None:
    card = model_card(replace(FACTS, trained_on=("all",), metrics={"base": {"partition": "all", "rows": 3}}))
    assert "The source is not dated." in card and "On the source's test rows." in card


def test_the_description_comes_first() -> None:
    assert "# job-skills@7\n\nFor the *north* office." in model_card(
        replace(FACTS, description="For the *north* office.\n")
    )


def test_of_an_absolute_path_only_the_last_part_is_public() -> None:
    assert public_name("/home/someone/ads") == "ads"
    assert public_name("data/ads") == "data/ads"
    assert "/home" not in model_card(replace(FACTS, source="/home/someone/ads"))


def test_the_hub_reads_the_scores_from_the_metadata() -> None:
    card = ModelCard(model_card(replace(FACTS, tested_digest="cd" * 32)))
    (precision, recall, f1) = card.data.eval_results
    assert (f1.metric_type, f1.metric_value, f1.dataset_split) == ("f1", 0.55, "2026-06")
    assert (precision.metric_value, recall.metric_value) == (0.6123, 0.5)
    assert f1.dataset_revision == "cd" * 32
    assert f1.dataset_name == "data/{partition}.jsonl"
    assert card.data.base_model == "HuggingFaceTB/SmolLM2-135M-Instruct"


def test_an_unlabelled_month_gives_no_scores_to_the_metadata() -> None:
    card = model_card(replace(FACTS, metrics={"adapter": {"partition": "2026-06", "rows": 24, "parse_rate": 1.0}}))
    assert "model-index" not in front_matter(card)


def test_intervals_stand_beside_the_scores_they_belong_to() -> None:
    scores = FACTS.metrics["adapter"] | {"f1_low": 0.48, "f1_high": 0.61}
    assert "| 0.612 | 0.500 | 0.550 [0.480, 0.610] |" in model_card(replace(FACTS, metrics={"adapter": scores}))


def part(ads: int, f1: float = 0.5) -> dict[str, Any]:
    return {"ads": ads, "gold_skills": 3 * ads, "f1": f1, "f1_low": f1 - 0.1, "f1_high": f1 + 0.1}


def test_slices_and_spans_stand_below_the_scores() -> None:
    spans = {"span_strict_f1": 0.4, "span_strict_f1_low": 0.3, "span_strict_f1_high": 0.5}
    spans |= {"span_ads": 9, "span_partial_f1": 0.55, "span_type_f1": 0.7}
    slices = {"source=a|b": part(20), "length=short": part(4), "length=long": part(20, 0.25)}
    text = model_card(replace(FACTS, metrics={"adapter": FACTS.metrics["adapter"] | spans | {"slices": slices}}))
    assert "on the 9 ads whose labels carry offsets" in text
    assert "strict 0.400 [0.300, 0.500], partial 0.550, any overlap 0.700." in text
    assert (
        """
| slice | ads | gold skills | F1 |
| --- | --- | --- | --- |
| length=long | 20 | 60 | 0.250 [0.150, 0.350] |
| length=short | 4 | 12 | 0.500 [0.400, 0.600] |
| source=a\\|b | 20 | 60 | 0.500 [0.400, 0.600] |
"""
        in text
    )
    many = {f"source={number}": part(number) for number in range(30)}
    text = model_card(replace(FACTS, metrics={"adapter": FACTS.metrics["adapter"] | {"slices": many}}))
    assert "The 12 largest of 30:" in text and "| source=18 |" in text and "| source=17 |" not in text
    assert "labels carry offsets" not in text and "| slice |" not in model_card(FACTS)


def test_the_prompt_is_told_as_it_is() -> None:
    assert "```text\n### Job Description: {text}\n### Skills:\n```" in model_card(FACTS)
