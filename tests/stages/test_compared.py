"""Which ads drift compares, and what it takes of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from skillsengine.scoring.matching import skill_set
from skillsengine.spec.schema import Split
from skillsengine.stages import compared
from skillsengine.stages.compared import partition_ads, tokenizer_of, training_ads
from skillsengine.stages.contract import StageError
from skillsengine.stages.rows import normalized_key
from skillsengine.stages.trained_on import write_trained_on
from skillsengine.storage.artifact import Artifact
from tests.stages.formatted import ad_text, formatted, row
from tests.stages.support import as_artifact


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """A real one that knows single bytes only."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytewise = Tokenizer(models.BPE(vocab={sign: place for place, sign in enumerate(alphabet)}, merges=[]))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return PreTrainedTokenizerFast(tokenizer_object=bytewise)


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Artifact, list[Artifact]]:
    """Trained on the texts 0 to 2 of two months, of which the second repeats the first's; 3 was held out, 4 has no labels."""
    months = [
        formatted(tmp_path / "m1", [row("one two", ["SQL"]), row("ccc ddd", ["sql", "Go"]), row(ad_text(3), ["C"])]),
        formatted(tmp_path / "m2", [row("One two!", ["Rust"]), row("eee", []), row(ad_text(4), None)]),
    ]
    folder = tmp_path / "finetuned"
    folder.mkdir()
    keys = [int(normalized_key(text), 16) for text in ("one two", "ccc ddd", "eee")]
    write_trained_on(folder, months, np.array(keys, np.uint64))
    return as_artifact(folder, "finetune", {}), months


def cell(folder: Path, *predicted: list[str]) -> Artifact:
    folder.mkdir()
    lines = [json.dumps({"predicted": skills}) + "\n" for skills in predicted]
    (folder / "predictions.jsonl").write_text("".join(lines))
    return as_artifact(folder, "evaluate", {})


def test_the_training_ads_are_those_trained_on_each_once(
    trained: tuple[Artifact, list[Artifact]], tokenizer: PreTrainedTokenizerFast
) -> None:
    found = training_ads(*trained, tokenizer)
    assert found.ads.words.tolist() == [2, 2, 1]
    assert found.ads.tokens_per_word.tolist() == [3.5, 3.5, 3]
    assert found.ads.skills == [skill_set(["SQL"]), skill_set(["SQL", "Go"]), frozenset()]
    assert dict(found.labels) == {"sql": 2, "go": 1}


def test_a_sample_of_many_ads_and_all_of_their_labels(
    trained: tuple[Artifact, list[Artifact]], tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compared, "SAMPLE", 1)
    found = training_ads(*trained, tokenizer)
    assert len(found.ads.words) == len(found.ads.skills) == 1 and dict(found.labels) == {"sql": 2, "go": 1}
    assert training_ads(*trained, tokenizer).ads.words.tolist() == found.ads.words.tolist(), "the same one each time"


def test_a_partition_s_skills_are_its_labels_or_else_what_was_predicted(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    rows = [row("a b c", ["Go"]), row("a b c d", None), row("A b c", ["Go"])]
    said = cell(tmp_path / "cell", ["SQL", "sql"], [])
    ads, by = partition_ads(formatted(tmp_path / "m", rows), said, Split(), tokenizer, dated=True)
    assert (ads.words.tolist(), ads.skills, by) == ([3, 4], [skill_set(["Go"])], "gold")
    bare = formatted(tmp_path / "n", [row("a b c", None), row("a b c d", None)])
    ads, by = partition_ads(bare, said, Split(), tokenizer, dated=True)
    assert (ads.words.tolist(), ads.skills, by) == ([3, 4], [skill_set(["SQL"]), frozenset()], "predictions")
    ads, by = partition_ads(formatted(tmp_path / "o", []), cell(tmp_path / "none"), Split(), tokenizer, dated=True)
    assert (len(ads.words), ads.skills, by) == (0, [], None)


def test_of_a_source_that_is_not_dated_only_the_test_rows_count(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    rows = [row("a b", ["Go"], split="train"), row("a b c", ["C"], split="test"), row("d", ["D"], split="validation")]
    ads, _ = partition_ads(formatted(tmp_path / "m", rows), cell(tmp_path / "c"), Split(), tokenizer, dated=False)
    assert (ads.words.tolist(), ads.skills) == ([3], [skill_set(["C"])])


def test_the_tokenizer_is_the_adapter_s_own(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    found = tokenizer_of(as_artifact(tmp_path, "finetune", {}))
    assert found("é!").input_ids == tokenizer("é!").input_ids
    for path in (tmp_path / "tokenizer").iterdir():
        path.write_text("{")
    with pytest.raises(StageError, match=r"the tokenizer in .*tokenizer cannot be read .* or train again with --force"):
        tokenizer_of(as_artifact(tmp_path, "finetune", {}))
