from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from skillsengine.serving.extract import Extractor
from skillsengine.stages import register
from skillsengine.stages.contract import StageError
from tests.stages.finetuned import BASE, TEMPLATE, make_finetuned
from tests.stages.golden_files import check_golden
from tests.stages.registered import config_of, inputs_of, make_version
from tests.stages.support import Surroundings


def test_a_version_holds_adapter_tokenizer_card_and_where_it_came_from(tmp_path: Path) -> None:
    finetuned = make_finetuned(tmp_path)
    out = tmp_path / "version"
    out.mkdir()
    context = replace(Surroundings(tmp_path).context, digest="me00")
    summary = register.run(config_of(), inputs_of(finetuned), out, context)
    assert summary == {"model": "job-skills", "number": 7, "version": "job-skills@7"}
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "README.md", "version.json"} <= {
        file.name for file in out.iterdir()
    }
    weights = "adapter_model.safetensors"
    assert (out / weights).read_bytes() == (finetuned.path / "adapter" / weights).read_bytes()
    version = json.loads((out / "version.json").read_text())
    assert version["base"] == finetuned.json("base.json")
    assert version["prompt"] == {"template": TEMPLATE}
    assert version["cleaning"] == ["html", "entities", "unicode", "whitespace"]
    assert (version["model"], version["number"], version["max_new_tokens"]) == ("job-skills", 7, 12)
    assert version["lineage"] == {
        "register": "me00",
        "finetune": finetuned.digest,
        "profile": "cc33",
        "format": {"2026-04": "aa11", "2026-05": "bb22"},
        "evaluate": {"adapter": "cell-adapter", "base": "cell-base", "lexicon": "cell-lexicon"},
        "environment": {"torch": "2.13.0"},
    }
    assert version["metrics"]["base"]["f1"] == 0.22222


def test_golden(tmp_path: Path) -> None:
    finetuned = make_finetuned(tmp_path)
    record = finetuned.json("base.json") | {"weights_sha256": "ab" * 32}
    (finetuned.path / "base.json").write_text(json.dumps(record))
    finetuned = replace(finetuned, manifest=replace(finetuned.manifest, digest="f" * 64))
    out = tmp_path / "version"
    out.mkdir()
    register.run(config_of(), inputs_of(finetuned), out, Surroundings(tmp_path).context)
    outputs = {name: (out / name).read_text("utf-8") for name in ("version.json", "README.md")}
    check_golden("register", register.VERSION, outputs)


@pytest.mark.parametrize("inside", [True, False])
def test_no_absolute_path_is_left_in_it(tmp_path: Path, inside: bool) -> None:
    base = tmp_path / "elsewhere" / "tiny" if not inside else tmp_path / "project" / BASE
    project = tmp_path / "project"
    finetuned = make_finetuned(project, base=str(base))
    out = project / "version"
    out.mkdir()
    config = config_of(data={"source": str(tmp_path / "private" / "ads")})
    register.run(config, inputs_of(finetuned), out, Surroundings(project).context)
    expected = BASE if inside else "tiny"
    assert json.loads((out / "version.json").read_text())["base"]["model"] == expected
    assert json.loads((out / "adapter_config.json").read_text())["base_model_name_or_path"] == expected
    for file in out.rglob("*"):
        if file.is_file():
            assert str(tmp_path).encode() not in file.read_bytes(), file.name


def test_the_snippet_of_the_card_gives_the_answer_that_extract_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = make_version(tmp_path, tied=False)
    match = re.search(r"```python\n(.*?)\n```", (out / "README.md").read_text(), re.DOTALL)
    assert match is not None and f"path/to/{BASE}" in match[1]
    monkeypatch.chdir(out)
    exec(match[1].replace(f"path/to/{BASE}", str(tmp_path / BASE)), {})
    extractor = Extractor.load(out, bases=tmp_path, allowed_roots=(tmp_path,))
    (found,) = extractor.extract(["We look for a welder with TIG welding and first aid."])
    assert capsys.readouterr().out == found.raw + "\n" and found.raw


def test_the_card_has_the_front_matter_that_the_hub_reads(tmp_path: Path) -> None:
    card = (make_version(tmp_path) / "README.md").read_text()
    assert card.startswith("---\n")
    fields = yaml.safe_load(card.split("---\n")[1])
    assert fields["library_name"] == "peft" and fields["pipeline_tag"] == "text-generation"
    assert "base_model" not in fields and "license" not in fields  # a local folder, of a licence nobody told


def test_without_a_number_nothing_is_registered(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="no version number"):
        register.run(config_of(None), inputs_of(make_finetuned(tmp_path)), tmp_path, Surroundings(tmp_path).context)


def test_an_artifact_without_an_adapter_is_named(tmp_path: Path) -> None:
    finetuned = make_finetuned(tmp_path)
    (finetuned.path / "adapter").rename(tmp_path / "gone")
    with pytest.raises(StageError, match=r"finetuned: the finetune artifact holds no folder `adapter`"):
        register.run(config_of(), inputs_of(finetuned), tmp_path, Surroundings(tmp_path).context)
