"""Values of an environment, laid over every spec."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from skillsengine.pipeline.provenance import spec_file
from skillsengine.settings import SettingsError, load_settings
from skillsengine.spec.errors import SpecError
from skillsengine.spec.load import Loaded, check_specs, load_spec
from tests.spec.support import GOOD, Folder


def load(specs: Folder, overlay: str, spec: str = GOOD, *overrides: str) -> Loaded:
    path = specs.write(overlay, "_env/prod.yaml")
    return load_spec(specs.write(spec), overlay=path, overrides=overrides)


def error(specs: Folder, overlay: str, spec: str = GOOD, *overrides: str) -> str:
    with pytest.raises(SpecError) as caught:
        load(specs, overlay, spec, *overrides)
    return str(caught.value)


def test_it_wins_over_the_spec_and_its_bases_and_loses_to_the_command_line(specs: Folder) -> None:
    specs.write("lora: {r: 1, alpha: 1, dropout: 0.1}\nowner: base\ntags: [base, base]\n", "_base/a.yaml")
    loaded = load(
        specs,
        "lora: {alpha: 3, dropout: 0.3}\ntags: [prod]\nresources: {queue: big}\n",
        "extends: _base/a.yaml\n" + GOOD + "lora: {r: 2, alpha: 2}\nowner: me\n",
        "lora.dropout=0.4",
    )
    experiment = loaded.experiment
    assert (experiment.lora.r, experiment.lora.alpha, experiment.lora.dropout) == (2, 3, 0.4)
    assert (experiment.owner, experiment.tags, experiment.resources.queue) == ("me", ("prod",), "big")
    assert [path.name for path in loaded.files] == ["job.yaml", "a.yaml", "prod.yaml"]
    places = {path: str(place) for path, place in loaded.sources.written().items()}
    assert places["lora.r"] == "experiments/job.yaml:4:11"
    assert places["lora.alpha"] == "experiments/_env/prod.yaml:1:15"
    assert places["lora.dropout"] == "--set lora.dropout=0.4"
    assert places["resources.queue"] == "experiments/_env/prod.yaml:3:20"


def test_it_may_extend_a_file_and_refer_to_the_spec(specs: Folder) -> None:
    specs.write("resources: {queue: shared, retries: 7}\n", "_env/_all.yaml")
    overlay = "extends: _all.yaml\nresources: {retries: 9}\nregister: {model: '${name}-prod'}\n"
    experiment = load(specs, overlay).experiment
    assert (experiment.resources.queue, experiment.resources.retries) == ("shared", 9)
    assert experiment.register.model == "job-prod"


@pytest.mark.parametrize("overlay", ["", "# nothing differs here\n", "null\n", "{}\n"])
def test_it_may_change_nothing(overlay: str, specs: Folder) -> None:
    assert load(specs, overlay).experiment == specs.load(GOOD).experiment


@pytest.mark.parametrize(
    ("overlay", "told"),
    [
        ("train:\n  lerning_rate: 1\n", "experiments/_env/prod.yaml:2:3: train.lerning_rate: unknown key"),
        ("x: 1\nlora: {r: 0}\n", "experiments/_env/prod.yaml:2:11: lora.r: expected an int >= 1"),
        ("tags:\n  - a\n  - 1\n", "experiments/_env/prod.yaml:3:5: tags[1]: expected text, found 1"),
        ("owner: 'x\n", "experiments/_env/prod.yaml:1:8: not valid YAML"),
        ("owner: ${nobody}\n", "experiments/_env/prod.yaml:1:8: owner: `${nobody}` refers to nothing"),
        ("- a\n", "an overlay holds fields of a spec:"),
        ("schedule: partition\n", "experiments/_env/prod.yaml:1:11: schedule: `partition` needs a dated source"),
        ("extends: gone.yaml\n", "experiments/_env/prod.yaml:1:10: extends: there is no file `gone.yaml`"),
        (
            "name: prod\n",
            "experiments/_env/prod.yaml:1:1: name: an overlay is laid over every spec, and each has its own name",
        ),
    ],
)
def test_a_mistake_is_told_where_it_stands(overlay: str, told: str, specs: Folder) -> None:
    said = error(specs, overlay)
    assert told in said
    assert "is not the file's name" not in said


def test_what_it_mends_is_no_mistake_and_what_a_spec_lacks_is_told_at_the_spec(specs: Folder) -> None:
    assert load(specs, "lora: {r: 4}\n", GOOD + "lora: {r: 0}\n").experiment.lora.r == 4
    assert error(specs, "lora: {r: 4}\n", "name: job\n").startswith("experiments/job.yaml:1:1: data: missing")


def test_all_problems_are_told_the_specs_own_first(specs: Folder) -> None:
    said = error(specs, "lora: {r: 0}\n", GOOD + "owner: 1\n", "train.epochs=x")
    assert re.findall(r"^(\S+?):? ", said, re.M)[0] == "experiments/job.yaml:3:8"
    places = [said.index(text) for text in ("job.yaml:3:8", "_env/prod.yaml:1:11", "--set train.epochs=x")]
    assert places == sorted(places)
    broken = error(specs, "owner: 'x\n", "name: 'job\n")
    assert "experiments/job.yaml:1:7" in broken and "experiments/_env/prod.yaml:1:8" in broken


def test_a_link_out_of_the_specs_is_refused(specs: Folder, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.yaml").write_text("owner: x\n")
    link = specs.experiments / "_env" / "prod.yaml"
    link.parent.mkdir()
    link.symlink_to(tmp_path / "elsewhere.yaml")
    with pytest.raises(SpecError, match=r"_env/prod.yaml:1:1: a link that leads out of `experiments/`"):
        load_spec(specs.write(GOOD), overlay=link)


def test_it_is_laid_over_every_spec_and_is_none_itself(specs: Folder) -> None:
    overlay = specs.write("owner: prod\n", "_env/prod.yaml")
    specs.write(GOOD)
    specs.write(GOOD.replace("job", "other"), "team/other.yaml")
    found = check_specs(specs.experiments, overlay=overlay)
    owners = {path.name: result.experiment.owner for path, result in found.items() if isinstance(result, Loaded)}
    assert owners == {"job.yaml": "prod", "other.yaml": "prod"}


def test_the_environment_names_it(specs: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    project = specs.experiments.parent
    assert load_settings(project).overlay is None
    monkeypatch.setenv("SKILLSENGINE_ENV", "")
    assert load_settings(project).overlay is None
    monkeypatch.setenv("SKILLSENGINE_ENV", "prod")
    settings = load_settings(project)
    with pytest.raises(SettingsError, match=r"SKILLSENGINE_ENV='prod': .*experiments/_env/\. There are none\. "):
        _ = settings.overlay
    specs.write("", "_env/staging.yaml")
    specs.write("", "_env/test.yaml")
    with pytest.raises(SettingsError, match="There are: staging, test. Name one of them"):
        _ = settings.overlay
    prod = specs.write("", "_env/prod.yaml")
    assert settings.overlay == prod


@pytest.mark.parametrize("name", ["../job", "prod.yaml", "_env/prod", "PROD", "*", "."])
def test_a_name_is_no_path(name: str, specs: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    specs.write(GOOD)
    specs.write("", "_env/prod.yaml")
    monkeypatch.setenv("SKILLSENGINE_ENV", name)
    with pytest.raises(SettingsError, match="There are: prod"):
        _ = load_settings(specs.experiments.parent).overlay


def test_lineage_takes_no_overlay_for_a_spec_of_its_name(specs: Folder) -> None:
    specs.write("", "_env/job.yaml")
    path = specs.write(GOOD)
    assert spec_file(load_settings(specs.experiments.parent), "job") == path
    assert spec_file(load_settings(specs.experiments.parent), "gone") is None
