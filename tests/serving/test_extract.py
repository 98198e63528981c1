from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from skillsengine.modeling.answers import parse_answer
from skillsengine.serving.extract import Extraction, Extractor
from skillsengine.stages.contract import StageError
from tests.stages.finetuned import BASE, TEMPLATE
from tests.stages.registered import make_version

ADS = [
    "We look for a welder with TIG welding and first aid.",
    "A nurse. Spanish, wound care and budget planning; reading blueprints is a plus for the night shift.",
    "Docker.",
]


def peft_answers(base: Path, version: Path, texts: list[str]) -> list[str]:
    """What a user of PEFT gets: one text at a time, nothing of this project."""
    tokenizer = AutoTokenizer.from_pretrained(version)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), version).eval()
    answers = []
    for text in texts:
        inputs = tokenizer(TEMPLATE.replace("{text}", text), return_tensors="pt")
        out = model.generate(**inputs, max_new_tokens=12, do_sample=False)
        answers.append(tokenizer.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
    return answers


@pytest.mark.parametrize(
    ("tied", "targets"),
    [
        (True, ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")),
        (False, ("q_proj", "v_proj", "lm_head")),
        (True, ("q_proj", "v_proj", "lm_head")),
    ],
)
def test_peft_alone_gives_the_same_answers(tmp_path: Path, tied: bool, targets: tuple[str, ...]) -> None:
    version = make_version(tmp_path, tied=tied, targets=targets)
    extractor = Extractor.load(version, bases=tmp_path, allowed_roots=(tmp_path,), device="cpu")
    expected = peft_answers(tmp_path / BASE, version, ADS)
    found = extractor.extract(ADS)
    assert [extraction.raw for extraction in found] == expected
    assert [(extraction.skills, extraction.parsed) for extraction in found] == [parse_answer(raw) for raw in expected]
    assert any(expected)


def test_texts_are_cleaned_as_in_the_training(tmp_path: Path) -> None:
    extractor = Extractor.load(make_version(tmp_path), bases=tmp_path, allowed_roots=(tmp_path,))
    messy = f"<p>{ADS[0].replace(' ', '&nbsp; ')}</p>\r\n"
    assert extractor.extract([messy]) == extractor.extract([ADS[0]])


def test_a_text_without_a_word_has_no_skills(tmp_path: Path) -> None:
    extractor = Extractor.load(make_version(tmp_path), bases=tmp_path, allowed_roots=(tmp_path,))
    assert extractor.extract([]) == []
    none, some, also_none = extractor.extract(["", ADS[0], "<p> -- </p>"])
    assert none == also_none == Extraction([], "", True)
    assert some == extractor.extract([ADS[0]])[0]


def test_a_text_longer_than_the_context_is_read_from_its_beginning(tmp_path: Path) -> None:
    extractor = Extractor.load(make_version(tmp_path), bases=tmp_path, allowed_roots=(tmp_path,))
    (found,) = extractor.extract([ADS[1] * 100])
    assert found.raw


def test_a_folder_that_is_no_version_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        StageError, match=r"is no registered version: it holds no version.json.*`skillsengine versions`"
    ):
        Extractor.load(tmp_path, bases=tmp_path, allowed_roots=(tmp_path,))
    (tmp_path / "version.json").write_text("{")
    with pytest.raises(StageError, match=r"version.json cannot be read .*Register the adapter again"):
        Extractor.load(tmp_path, bases=tmp_path, allowed_roots=(tmp_path,))
    (tmp_path / "version.json").write_text('{"base": {}}')
    with pytest.raises(StageError, match="lacks prompt, cleaning, max_new_tokens"):
        Extractor.load(tmp_path, bases=tmp_path, allowed_roots=(tmp_path,))


def test_a_base_in_another_root_is_found(tmp_path: Path) -> None:
    version = make_version(tmp_path / "project")
    (tmp_path / "data" / "models").mkdir(parents=True)
    (tmp_path / "project" / BASE).rename(tmp_path / "data" / BASE)
    roots = (tmp_path / "project", tmp_path / "data")
    assert Extractor.load(version, bases=tmp_path, allowed_roots=roots).extract(ADS[:1])[0].raw
    with pytest.raises(StageError, match=r"local folder `models/tiny`, which is in none of .*project"):
        Extractor.load(version, bases=tmp_path, allowed_roots=roots[:1])


def test_a_base_with_other_weights_is_refused(tmp_path: Path) -> None:
    version = make_version(tmp_path)
    record = json.loads((version / "version.json").read_text())
    record["base"]["weights_sha256"] = "0" * 64
    (version / "version.json").write_text(json.dumps(record))
    with pytest.raises(StageError, match="`models/tiny` has changed since the adapter was trained on it"):
        Extractor.load(version, bases=tmp_path, allowed_roots=(tmp_path,))
