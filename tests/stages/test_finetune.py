"""finetune on tiny bases: what it leaves behind, what it learns, and what it says when it cannot."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from skillsengine.modeling.base import load_base
from skillsengine.modeling.batches import LengthGroups
from skillsengine.modeling.encoding import Encoded
from skillsengine.modeling.lora import attach, load_adapter
from skillsengine.pipeline.graph import PROFILE
from skillsengine.spec.schema import Base, Lora
from skillsengine.stages import finetune, profile
from skillsengine.stages.contract import Limit, StageError
from skillsengine.stages.overlong import Fitter
from skillsengine.stages.rows import Row, normalized_key
from skillsengine.stages.splits import VALIDATION, formatted_inputs, training_rows
from tests.stages.golden_files import check_golden
from tests.stages.support import Surroundings, config_for
from tests.stages.training import TARGETS, TEMPLATE, Training, rows
from tests.tiny import make_tiny_base

PNG = b"\x89PNG"


def test_what_it_leaves_behind(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    training = Training(tmp_path)
    summary = training.run()
    out = tmp_path / "out"
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()) == [
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
        "base.json",
        "lexicon.json",
        "loss.png",
        "metrics.jsonl",
        "prompt.json",
        "tokenizer/tokenizer.json",
        "tokenizer/tokenizer_config.json",
        "trained_on.npy",
        "trained_on.txt",
    ]
    everyone = [row for row in (*rows(10), *rows(10, start=10))]
    learned = [row for row in everyone if row.split == "train"]
    assert (out / "trained_on.txt").read_text().split() == sorted(row.key for row in everyone)
    assert json.loads((out / "lexicon.json").read_text()) == sorted({s for row in learned for s in row.skills or ()})
    assert json.loads((out / "prompt.json").read_text()) == {"template": TEMPLATE}
    base = json.loads((out / "base.json").read_text())
    assert base.pop("weights_sha256")
    assert base == {"model": "base", "revision": None, "quantization": "none", "device": "cpu", "dtype": "float32"}
    config = json.loads((out / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "base"
    assert config["target_modules"] == sorted(TARGETS)
    assert (out / "loss.png").read_bytes()[:4] == PNG
    assert all(str(tmp_path) not in path.read_text() for path in out.rglob("*.json*") if path.suffix != ".safetensors")

    assert {name: summary[name] for name in ("steps", "epochs", "train_rows", "validation_rows")} == {
        "steps": 12,
        "epochs": 3.0,
        "train_rows": 16,
        "validation_rows": 4,
    }
    assert [summary[name] for name in ("rows_cut", "rows_left_out", "untrained_matrices", "resumed_from_step")] == [
        0
    ] * 4
    trained = sum(weight.numel() for weight in training.adapter().values())
    assert summary["trainable_parameters"] == trained
    tokenizer = AutoTokenizer.from_pretrained(out / "tokenizer")
    lengths = [len(tokenizer(row.prompt(TEMPLATE)).input_ids + tokenizer(row.answer).input_ids) for row in learned]
    assert summary["tokens"] == 3 * sum(lengths)  # the answer's begin-of-text here stands for its end of text there
    assert summary["tokens_per_second"] > 0
    assert summary["seconds"] >= 0
    assert 0.05 < summary["peak_memory_gb"] < 20
    assert summary["train_loss"] < training.metrics()[0]["loss"] - 0.3
    assert summary["validation_loss"] == pytest.approx(training.metrics()[-1]["eval_loss"], abs=1e-4)
    json.dumps(summary)
    assert capfd.readouterr() == ("", "")  # no bars, no printed dictionaries


def test_what_it_tells(tmp_path: Path) -> None:
    training = Training(tmp_path)
    training.run()
    assert [(line["step"], "eval_loss" in line) for line in training.metrics()] == [
        (1, False),
        (3, False),
        (4, True),
        (6, False),
        (8, True),
        (9, False),
        (12, False),
        (12, True),
    ]
    steps = [progress for progress in training.reports if progress.step and "tokens/s" in progress.text]
    assert [progress.step for progress in steps] == list(range(1, 13))
    assert all(re.fullmatch(r"step \d+/12 · loss \d+\.\d\d · \d+ tokens/s", progress.text) for progress in steps)
    assert [progress.fraction for progress in steps] == [step / 12 for step in range(1, 13)]
    assert steps[-1].seconds_left == 0
    assert all(progress.seconds_left for progress in steps[:-1])
    assert [p.step for p in steps if p.metrics] == [1, 3, 6, 9, 12]
    names = "loss learning_rate grad_norm epoch tokens_per_second padding_share memory_gb mfu minutes_left"
    assert set(steps[2].metrics) == {f"train/{name}" for name in names.split()}
    assert 0 < steps[2].metrics["train/padding_share"] < 0.5
    assert 0 < steps[2].metrics["train/mfu"] < 1
    logged = [line["loss"] for line in training.metrics() if "loss" in line]
    assert [p.metrics["train/loss"] for p in steps if p.metrics] == logged
    evaluations = [progress for progress in training.reports if "eval/loss" in progress.metrics]
    assert [progress.step for progress in evaluations] == [4, 8, 12]
    assert "validation loss" in evaluations[0].text
    assert training.reports[0].text == "loading the base base"
    assert training.reports[1].text == "16 rows to train on, 4 to validate"


@pytest.mark.parametrize("tied", [True, False])
def test_every_matrix_learns_the_output_layers_too(tmp_path: Path, tied: bool) -> None:
    targets = [*TARGETS, "lm_head"]
    training = Training(tmp_path, {"lora": {"target_modules": targets}, "train": {"epochs": 1}}, tied=tied)
    training.run()
    base = Base(model="base")
    fresh = attach(
        load_base(base, "cpu", bases=tmp_path, allowed_roots=[tmp_path]).model,
        Lora(r=4, alpha=8, target_modules=tuple(targets)),
        seed=42,
    )
    start = {name.replace(".default", ""): w for name, w in fresh.named_parameters() if "lora_" in name}
    trained = training.adapter()
    assert set(start) == set(trained)
    assert len(trained) == 2 * (2 * 7 + 1)
    assert "base_model.model.lm_head.lora_A.weight" in trained
    assert not [name for name in trained if torch.equal(trained[name], start[name])]


@pytest.mark.parametrize("targets", [TARGETS, [*TARGETS, "lm_head"]])
@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")  # peft alone leaves it tied
def test_peft_alone_reads_the_adapter(tmp_path: Path, targets: list[str]) -> None:
    Training(tmp_path, {"lora": {"target_modules": targets}, "train": {"epochs": 1}}, tied=True).run()
    folder = tmp_path / "out" / "adapter"
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tmp_path / "base"), folder).eval()
    ours = load_adapter(load_base(Base(model="base"), "cpu", bases=tmp_path, allowed_roots=[tmp_path]), folder)
    ids = AutoTokenizer.from_pretrained(tmp_path / "out" / "tokenizer")(
        rows(1)[0].prompt(TEMPLATE), return_tensors="pt"
    ).input_ids
    with torch.no_grad():
        assert torch.equal(theirs(ids).logits, ours.model(ids).logits)


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_on_a_quantized_base(tmp_path: Path, quantization: str, capfd: pytest.CaptureFixture[str]) -> None:
    training = Training(tmp_path, {"base": {"quantization": quantization}})
    summary = training.run()
    losses = [line["loss"] for line in training.metrics() if "loss" in line]
    assert losses[-1] < losses[0] - 0.3
    assert summary["untrained_matrices"] == 0
    assert json.loads((tmp_path / "out" / "base.json").read_text())["quantization"] == quantization
    assert capfd.readouterr() == ("", "")


def test_a_base_without_pad_token(tmp_path: Path) -> None:
    make_tiny_base(tmp_path / "base", tied=False, pad=False)
    summary = Training(tmp_path).run()
    assert summary["train_loss"] < 5.5
    assert AutoTokenizer.from_pretrained(tmp_path / "out" / "tokenizer").pad_token == "</s>"


def test_micro_batches_do_not_matter(tmp_path: Path) -> None:
    adapters = []
    for size, accumulated in ((4, 1), (2, 2), (1, 4), (3, 1)):
        train = {"per_device_batch_size": size, "gradient_accumulation_steps": accumulated}
        name = f"{size}x{accumulated}"
        training = Training(tmp_path, {"train": train})
        training.run(name, checkpoints=f"checkpoints-{name}")
        adapters.append(training.adapter(name))
    whole, halves, quarters, other = adapters
    for name, weight in whole.items():
        # Sums in another order: the differences are those of float32, grown over 12 steps of Adam.
        assert torch.allclose(weight, halves[name], atol=2e-3)
        assert torch.allclose(weight, quarters[name], atol=2e-3)
    assert max(float((whole[name] - other[name]).abs().max()) for name in whole) > 2e-2


def test_the_smoke_test(tmp_path: Path) -> None:
    training = Training(tmp_path, max_length=64)
    summary = training.run(limit=Limit(rows=20, steps=5, generated=3, tokens=48))
    assert (summary["steps"], summary["validation_rows"]) == (5, 3)
    assert summary["rows_cut"] > 0
    assert training.metrics()[-1]["step"] == 5


def test_fewer_steps_than_the_smoke_test_allows(tmp_path: Path) -> None:
    summary = Training(tmp_path, {"train": {"epochs": 0.5}}).run(limit=Limit(rows=20))
    assert (summary["steps"], summary["epochs"]) == (2, 0.5)


def test_a_fraction_of_an_epoch_is_at_least_a_step(tmp_path: Path) -> None:
    summary = Training(tmp_path, {"train": {"epochs": 0.01}}).run()
    assert summary["steps"] == 1
    assert summary["validation_loss"] is not None


def test_no_validation_rows(tmp_path: Path) -> None:
    training = Training(tmp_path, {"train": {"epochs": 1}})
    for key in ("2026-01", "2026-02"):
        training.give_rows(key, [row for row in rows(10, start=int(key[-1])) if row.split == "train"])
    summary = training.run()
    assert summary["validation_loss"] is None
    assert summary["validation_rows"] == 0
    assert all("eval_loss" not in line for line in training.metrics())


def test_texts_that_are_too_long(tmp_path: Path) -> None:
    training = Training(tmp_path, {"train": {"epochs": 1}}, max_length=64)
    many = rows(10)
    training.give_rows("2026-01", [replace(many[0], skills=("welding",) * 30), *many[1:]])
    summary = training.run()
    assert summary["rows_left_out"] == 1
    assert summary["train_rows"] == 15
    assert summary["rows_cut"] > 0


def test_overlong_rows_are_split_as_profile_counted(tmp_path: Path) -> None:
    """The smoke of both stages on the same rows: the same parts, and the steps follow them."""
    training = Training(
        tmp_path, {"tokens": {"overlong": "split", "max_length": 64}, "train": {"epochs": 1}}, max_length=64
    )
    long = "We need SQL. We need SAP, too! You bring:\n- wound care\n- Docker\n- first aid and much more"
    many = [replace(row, split="train") for row in rows(4)]
    many.append(Row("long", long, ("SQL", "SAP", "wound care", "Docker"), normalized_key(long), "train"))
    training.give_rows("2026-01", many)
    counted = profiled(training)
    summary = training.run()
    parts = ("rows_cut", "rows_split", "parts", "rows_dropped", "rows_left_out")
    assert {name: summary[name] for name in parts} == {name: counted[name] for name in parts}
    assert summary["rows_split"] >= 1 and summary["parts"] > summary["rows_split"]
    longer = counted["train_rows"] + counted["validation_rows"] - counted["rows_split"] + counted["parts"]
    assert summary["train_rows"] + summary["validation_rows"] == longer - summary["rows_left_out"]
    assert summary["steps"] == -(-summary["train_rows"] // 4)
    texts = summary["tokens"] + sum(len(text) for text in validation_texts(training))
    assert counted["tokens"] == texts, "profile's sum is what is trained on"
    assert many[-1].key in (tmp_path / "out" / "trained_on.txt").read_text().split()
    assert {"SQL", "SAP", "wound care", "Docker"} <= set(json.loads((tmp_path / "out" / "lexicon.json").read_text()))


def test_dropped_rows_were_not_trained_on(tmp_path: Path) -> None:
    training = Training(tmp_path, {"tokens": {"overlong": "drop"}, "train": {"epochs": 1}}, max_length=64)
    summary = training.run()
    listed = (tmp_path / "out" / "trained_on.txt").read_text().split()
    assert 0 < len(listed) == 20 - summary["rows_dropped"] < 20
    assert summary["train_rows"] + summary["validation_rows"] == len(listed)
    with pytest.raises(StageError) as caught:
        Training(tmp_path, {"tokens": {"overlong": "drop"}}, max_length=16).run("none")
    assert str(caught.value) == (
        "no row to train on: 20 rows are longer than tokens.max_length (16 tokens), and tokens.overlong is `drop`. Raise it, "
        "set it to `auto`, or let tokens.overlong be `cut` or `split`."
    )


def profiled(training: Training) -> dict[str, Any]:
    out = training.folder / "profiled"
    out.mkdir()
    return profile.run(config_for(PROFILE, training.spec), training.inputs, out, Surroundings(training.folder).context)


def validation_texts(training: Training) -> list[Encoded]:
    tokenizer = AutoTokenizer.from_pretrained(training.folder / "out" / "tokenizer")
    fitter = Fitter(TEMPLATE, tokenizer, training.max_length, "split")
    used = training_rows(formatted_inputs(training.inputs), training.spec.data.split, dated=False)
    return [text for part, row in used if part == VALIDATION for text in fitter.fit(row)]


def test_all_answers_are_too_long(tmp_path: Path) -> None:
    with pytest.raises(StageError) as caught:
        Training(tmp_path, max_length=16).run()
    assert str(caught.value) == (
        "no row to train on: the answers of all 20 rows are longer than tokens.max_length (16 tokens), and an answer is "
        "never cut. Raise it, or set it to `auto`."
    )


def test_nothing_to_train_on(tmp_path: Path) -> None:
    training = Training(tmp_path)
    for key in ("2026-01", "2026-02"):
        training.give_rows(key, [row for row in rows(10) if row.split == "validation"])
    with pytest.raises(StageError) as caught:
        training.run()
    assert str(caught.value).startswith(
        "no row to train on in the partitions 2026-01, 2026-02: every labelled row is held out (2 for validation"
    )
    assert "set data.split.validation lower, or check data.labels." in str(caught.value)


def test_unknown_base_and_unknown_target(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"base.model: `\./nothing`: .* does not exist"):
        Training(tmp_path, {"base": {"model": "./nothing"}}).run("a")
    with pytest.raises(StageError, match=r"lora.target_modules: `c_attn`: no linear module .* There are: down_proj, "):
        Training(tmp_path, {"lora": {"target_modules": ["q_proj", "c_attn"]}}).run("b")


def _change_base(folder: Path, name: str, value: float) -> None:
    file = folder / "base" / "model.safetensors"
    weights = load_file(file)
    weights[name] = torch.full_like(weights[name], value)
    save_file(weights, file, metadata={"format": "pt"})


def test_a_loss_that_is_no_number(tmp_path: Path) -> None:
    training = Training(tmp_path)
    _change_base(tmp_path, "model.norm.weight", float("nan"))
    with pytest.raises(StageError) as caught:
        training.run()
    assert str(caught.value) == (
        "the training loss is nan at step 1 of 12 (learning rate 0.01; the last finite loss was none). The training has "
        "diverged: lower train.learning_rate, or add train.warmup_steps."
    )
    assert not list((tmp_path / "checkpoints").iterdir())


def test_a_target_that_no_gradient_reaches(tmp_path: Path) -> None:
    training = Training(tmp_path, {"train": {"epochs": 1}})
    _change_base(tmp_path, "lm_head.weight", 0.0)
    with pytest.raises(StageError) as caught:
        training.run()
    text = str(caught.value)
    assert text.startswith(
        "14 of 14 adapted modules learned nothing in 4 steps: their update is still zero (the first: "
    )
    assert text.endswith("Take them out of lora.target_modules: no gradient reaches them.")


def test_golden(tmp_path: Path) -> None:
    """What was made when VERSION was last raised."""
    training = Training(tmp_path, {"lora": {"target_modules": [*TARGETS, "lm_head"]}})
    summary = training.run()
    out = tmp_path / "out"
    config = json.loads((out / "adapter" / "adapter_config.json").read_text())
    own = {name: config[name] for name in ("base_model_name_or_path", "lora_alpha", "peft_type", "r", "target_modules")}
    exact = ("step", "learning_rate", "epoch")
    lines = [{name: round(line[name], 6) for name in exact if name in line} for line in training.metrics()]
    # Another processor sums in another order, and twelve steps of Adam make more of it; another training is far off.
    losses = [line.get("loss", line.get("eval_loss")) for line in training.metrics()]
    assert losses == pytest.approx([5.762, 5.585, 4.880, 4.852, 3.718, 3.908, 3.454, 3.376], abs=0.03), "raise VERSION"
    counted = ("steps", "epochs", "train_rows", "validation_rows", "rows_cut", "tokens", "trainable_parameters")
    check_golden(
        "finetune",
        finetune.VERSION,
        {
            "adapter.json": _text({"config": own, "shapes": {k: list(w.shape) for k, w in training.adapter().items()}}),
            "metrics.jsonl": "".join(json.dumps(line) + "\n" for line in lines),
            "order.json": _text([list(LengthGroups([n % 9 for n in range(20)], 4, seed)) for seed in (1, 2)]),
            "summary.json": _text({name: summary[name] for name in counted}),
            **{name: (out / name).read_text() for name in ("lexicon.json", "prompt.json", "trained_on.txt")},
        },
    )


def _text(data: object) -> str:
    return json.dumps(data, indent=1, sort_keys=True) + "\n"
