from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from skillsengine.modeling.answers import parse_answer
from skillsengine.pipeline.graph import SUBJECTS
from skillsengine.serving.extract import Extraction, Extractor
from skillsengine.stages import evaluate
from skillsengine.stages.contract import StageError
from tests.stages.finetuned import BASE, TEMPLATE
from tests.stages.formatted import formatted, row
from tests.stages.registered import make_version, profiled
from tests.stages.support import Surroundings, as_artifact, config_for, experiment

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


def test_a_long_text_is_read_in_parts_as_it_is_evaluated(tmp_path: Path) -> None:
    """Longer than the training texts: the same parts, answers and skills as in the version's evaluation."""
    extractor = Extractor.load(make_version(tmp_path), bases=tmp_path, allowed_roots=(tmp_path,))
    texts = [ADS[0], " ".join(ADS) * 3, ADS[2]]
    found = extractor.extract(texts)
    assert found[1].raw.startswith("--- part 1 of ") and len(found[1].raw) > len(found[0].raw)
    assert extractor.extract(texts[:1]) == found[:1]
    out = tmp_path / "cell"
    out.mkdir()
    inputs = {
        "format": formatted(tmp_path / "rows", [row(text, [], split="test") for text in texts]),
        "finetune": as_artifact(tmp_path / "finetuned", "finetune", {}),
        "profile": profiled(tmp_path / "profiled", 160, 100),
    }
    spec = experiment(base={"model": BASE}, resources={"device": "cpu"}, evaluate={"max_new_tokens": 12})
    summary = evaluate.run(
        config_for(SUBJECTS["adapter"], spec, key="adapter"), inputs, out, Surroundings(tmp_path).context
    )
    lines = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    assert [Extraction(line["predicted"], line["raw"], line["parsed"]) for line in lines] == found
    assert summary["ads_split"] == 1 and summary["parts"] >= 3


def test_a_version_of_before_reads_what_fits_the_context(tmp_path: Path) -> None:
    version = make_version(tmp_path)
    record = json.loads((version / "version.json").read_text())
    assert (record.pop("max_length"), record.pop("typical_length")) == (160, 100)
    (version / "version.json").write_text(json.dumps(record))
    extractor = Extractor.load(version, bases=tmp_path, allowed_roots=(tmp_path,))
    short, long = extractor.extract([" ".join(ADS), ADS[1] * 20])
    assert not short.raw.startswith("---") and long.raw.startswith("--- part 1 of ")


def test_a_context_without_room_for_an_answer_is_told(tmp_path: Path) -> None:
    version = make_version(tmp_path)
    record = json.loads((version / "version.json").read_text())
    (version / "version.json").write_text(json.dumps(record | {"max_new_tokens": 510}))
    with pytest.raises(StageError, match=r"max_new_tokens: 510 leaves no room for an ad in the base's context of 512"):
        Extractor.load(version, bases=tmp_path, allowed_roots=(tmp_path,))


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
