"""The demo's job with the real base: what `make demo` promises, without the Airflow around it."""

from __future__ import annotations

from pathlib import Path

import pytest

from skillsengine.pipeline.run import Run
from skillsengine.settings import Settings
from skillsengine.spec.load import load_spec
from tests.pipeline.whole import run_whole

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def demo(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of the shipped demo spec on the shipped corpus."""
    home = tmp_path_factory.mktemp("demo")
    settings = Settings(project, home, f"sqlite:///{home / 'catalog.db'}", ())
    experiment = load_spec(project / "experiments" / "job-skills-demo.yaml").experiment
    return run_whole(experiment, settings, "nightly")


def test_the_adapter_beats_the_untuned_base_by_a_wide_margin(demo: Run) -> None:
    cells = {cell.kind: cell.metrics for cell in demo.catalog.cells(experiment="job-skills-demo")}
    assert cells["adapter"]["rows"] == cells["base"]["rows"] == 24
    assert cells["adapter"]["f1"] >= cells["base"]["f1"] + 0.15
    assert cells["adapter"]["f1"] > cells["lexicon"]["f1"]
    assert cells["adapter"]["parse_rate"] >= 0.9
    assert demo.catalog.alias("job-skills-demo", "champion") == 1


def test_a_peft_user_gets_the_answers_of_extract(demo: Run) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from skillsengine.serving.extract import Extractor

    folder = Path(demo.catalog.resolve("job-skills-demo", "champion").path or "")
    ads = [
        "Harbour yard in Gdynia seeks a rigger. Wire rope splicing, lifting plans and a banksman ticket are needed.",
        "Our lab wants help with ELISA assays, pipette calibration and LabWare LIMS. Free lunch.",
    ]
    extractor = Extractor.load(folder, bases=demo.store.bases, allowed_roots=demo.settings.allowed_roots)
    ours = [found.raw.strip() for found in extractor.extract(ads)]

    base = demo.store.bases / "smollm2-135m-instruct"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), folder).eval()
    theirs = []
    for ad in ads:
        prompt = tokenizer(f"### Job Description: {ad}\n### Skills:", return_tensors="pt")
        with torch.no_grad():
            ids = model.generate(**prompt, max_new_tokens=96, do_sample=False, pad_token_id=tokenizer.eos_token_id)
        theirs.append(tokenizer.decode(ids[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True).strip())
    assert ours == theirs


def test_every_matrix_of_the_adapter_learned(demo: Run) -> None:
    from safetensors.torch import load_file

    folder = Path(demo.catalog.resolve("job-skills-demo", "champion").path or "")
    weights = load_file(folder / "adapter_model.safetensors")
    ups = {name: tensor for name, tensor in weights.items() if "lora_B" in name}
    assert len(ups) == 30 * 7
    # B starts at zero (Hu et al., 2021): a matrix that is still zero did not train.
    assert all(tensor.abs().max() > 0 for tensor in ups.values())
