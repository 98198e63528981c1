"""The model card of a version: README.md as the Hub reads it, made from the spec and the measured numbers alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import yaml

from skillsengine.spec.schema import BUILTIN_BASE, Lora, Train
from skillsengine.tracking.card_scores import NONE, scores_section

BUILTIN_HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
_LICENSES = {BUILTIN_HUB_ID: "apache-2.0", "meta-llama/Llama-2-": "llama2"}  # Hub id or its beginning -> the Hub's name


@dataclass(frozen=True)
class CardFacts:
    """What a card tells. None of it may hold an absolute path."""

    model: str
    number: int
    experiment: str
    description: str
    owner: str
    source: str
    """`data.source` of the spec."""
    base: Mapping[str, Any]
    """{"model", "revision", "quantization", "device", "dtype", "weights_sha256"}."""
    template: str
    max_new_tokens: int
    cleaning: Sequence[str]
    shots: int
    """Number of worked examples that the untuned base saw."""
    lora: Lora
    train: Train
    trained_on: Sequence[str]
    """Partition keys of the training data; `all` for a source that is not dated."""
    training: Mapping[str, Any]
    """Summary of `finetune`."""
    lengths: Mapping[str, Any]
    """Summary of `profile`."""
    metrics: Mapping[str, Mapping[str, Any]]
    """Subject (adapter, base, lexicon) -> summary of its `evaluate`; a subject that was not scored is missing."""
    lineage: Mapping[str, Any]
    """What it was made of: names and digests."""
    tested_digest: str | None = None
    """Digest of the `format` artifact that the adapter was scored on."""

    @property
    def version(self) -> str:
        return f"{self.model}@{self.number}"

    @property
    def hub_id(self) -> str | None:
        """Of the base; None for a local folder."""
        name = str(self.base["model"])
        if name == BUILTIN_BASE:
            return BUILTIN_HUB_ID
        # As modeling finds it: what is a folder in the project is no Hub id, and a folder leaves its weights' hash.
        return name if name.count("/") == 1 and name[0] not in "./" and not self.base.get("weights_sha256") else None

    @property
    def license(self) -> str | None:
        """The base's licence in the Hub's words, where it is known."""
        return next((name for start, name in _LICENSES.items() if (self.hub_id or "").startswith(start)), None)


def public_name(path: str) -> str:
    """A path or name as others may see it: of an absolute path only the last part."""
    return PurePath(path).name if PurePath(path).is_absolute() else path


def model_card(facts: CardFacts) -> str:
    """The text of README.md."""
    parts = (
        _front_matter(facts),
        f"# {facts.version}\n\n{facts.description.strip() or _what(facts)}",
        _intended(facts),
        _usage(facts),
        scores_section(facts.metrics, facts.shots),
        _data(facts),
        _settings(facts),
        _limits(facts),
        _lineage(facts),
    )
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _front_matter(facts: CardFacts) -> str:
    fields: dict[str, Any] = {
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "tags": ["lora", "skill-extraction", "job-ads", "skillsengine"],
    }
    if facts.hub_id:
        fields |= {"base_model": facts.hub_id, "base_model_relation": "adapter"}
    if facts.license:
        fields["license"] = facts.license
    if results := _model_index(facts):
        fields["model-index"] = results
    return f"---\n{yaml.safe_dump(fields, sort_keys=True, allow_unicode=True)}---"


def _model_index(facts: CardFacts) -> list[dict[str, Any]]:
    """The adapter's scores as the Hub's metadata takes them (`model-index`); nothing where it has none.

    The data set's revision is the digest of the `format` artifact that was scored.
    """
    summary = facts.metrics.get("adapter", {})
    names = {"precision": "Precision", "recall": "Recall", "f1": "F1 (micro, sets of skills per ad)"}
    metrics = [
        {"type": key, "name": name, "value": round(float(summary[key]), 4), "verified": False}
        for key, name in names.items()
        if summary.get(key) is not None
    ]
    if not metrics:
        return []
    dataset = {"name": public_name(facts.source), "type": "job-ads", "split": str(summary.get("partition", "test"))}
    if facts.tested_digest:
        dataset["revision"] = facts.tested_digest
    task = {"type": "text-generation", "name": "Skill extraction"}
    return [{"name": facts.model, "results": [{"task": task, "dataset": dataset, "metrics": metrics}]}]


def _what(facts: CardFacts) -> str:
    return f"A LoRA adapter for `{facts.base['model']}` that lists the skills a job ad asks for."


def _intended(facts: CardFacts) -> str:
    return f"""## What it does

It reads the text of a job ad and writes a JSON list of the skills in it, each as it stands in the ad, in order of first
occurrence; `[]` where there are none. It was made by the experiment `{facts.experiment}` (owner: {facts.owner})."""


def _usage(facts: CardFacts) -> str:
    return f"""## How to use it

With the platform that made it:

```sh
skillsengine extract {facts.version} ad.txt
```

With PEFT, in the folder of this card:

```python
{_snippet(facts)}
```

The prompt is the text below with the cleaned ad in the place of `{{text}}`; the answer follows it.

```text
{facts.template}
```

{_about_base(facts)}"""


def _snippet(facts: CardFacts) -> str:
    name = f"path/to/{facts.base['model']}" if facts.hub_id is None or _is_builtin(facts) else facts.hub_id
    options, more = [f"dtype=torch.{facts.base['dtype']}"], ""
    if facts.base.get("revision"):
        options.append(f'revision="{facts.base["revision"]}"')
    if facts.base["quantization"] != "none":
        more = ", BitsAndBytesConfig"
        options.append(f"quantization_config={_quantization(facts)}")
    return f"""import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer{more}

base = AutoModelForCausalLM.from_pretrained({json.dumps(name)}, {", ".join(options)})
model = PeftModel.from_pretrained(base, ".").eval()
tokenizer = AutoTokenizer.from_pretrained(".")

ad = "We look for a welder with TIG welding and first aid."
prompt = {json.dumps(facts.template, ensure_ascii=False)}.replace("{{text}}", ad)
inputs = tokenizer(prompt, return_tensors="pt").to(model.device)
output = model.generate(**inputs, max_new_tokens={facts.max_new_tokens}, do_sample=False)
print(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))"""


def _quantization(facts: CardFacts) -> str:
    if facts.base["quantization"] == "int8":
        return "BitsAndBytesConfig(load_in_8bit=True)"
    return (
        'BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, '
        f"bnb_4bit_compute_dtype=torch.{facts.base['dtype']})"
    )


def _is_builtin(facts: CardFacts) -> bool:
    return str(facts.base["model"]) == BUILTIN_BASE


def _about_base(facts: CardFacts) -> str:
    cleaned = f"The ads of its training were cleaned before ({', '.join(facts.cleaning)})." if facts.cleaning else ""
    if _is_builtin(facts):
        return (
            f"The base is the platform's built-in `{BUILTIN_BASE}`: {BUILTIN_HUB_ID}, dequantized from a Q4_1 file. Its "
            f"folder is `store/bases/{BUILTIN_BASE}` in the installation's home. `adapter_config.json` names the Hub's own "
            f"weights, which anybody can load; they differ slightly from these, and so may the answers. {cleaned}"
        )
    if facts.hub_id is None:
        return f"The base is a local folder of that name; its weights are told by their sha256 below. {cleaned}"
    return cleaned


def _data(facts: CardFacts) -> str:
    keys = [key for key in facts.trained_on if key != "all"]
    months = f"Partitions: {', '.join(keys)}." if keys else "The source is not dated."
    rows = (
        f"{facts.training['train_rows']} ads to train on, {facts.training['validation_rows']} held out for validation"
        if "train_rows" in facts.training
        else "The number of ads was not recorded"
    )
    return f"## Training data\n\n`{public_name(facts.source)}`. {months} {rows}."


def _settings(facts: CardFacts) -> str:
    train, done = facts.train, facts.training
    rows = [
        ("base", f"`{facts.base['model']}`, quantization {facts.base['quantization']}, {facts.base['dtype']}"),
        ("LoRA", facts.lora.in_words),
        ("epochs", f"{train.epochs:g}"),
        ("ads per optimizer step", str(train.effective_batch_size)),
        ("learning rate", f"{train.learning_rate:g}, {train.lr_scheduler}, {train.warmup_steps} warm-up steps"),
        ("weight decay", f"{train.weight_decay:g}"),
        ("gradient norm", f"at most {train.max_grad_norm:g}"),
        ("seed", str(train.seed)),
        ("longest text", f"{facts.lengths.get('max_length', NONE)} tokens"),
    ]
    if "trials" in done:
        chosen = f"{done['trial']}: the best {done['metric']} of {done['trials']} trials"
        rows.append(("chosen by a sweep", chosen + (f" ({done['diverged']} diverged)" if done["diverged"] else "")))
    if facts.base.get("revision"):
        rows.insert(1, ("base revision", f"`{facts.base['revision']}`"))
    if facts.base.get("weights_sha256"):
        rows.insert(1, ("base weights", f"sha256 `{facts.base['weights_sha256']}`"))
    measured = (
        ("steps", "optimizer steps", ".0f"),
        ("train_loss", "training loss", ".3f"),
        ("validation_loss", "validation loss", ".3f"),
        ("trainable_parameters", "trained parameters", ",.0f"),
        ("seconds", "seconds", ".0f"),
        ("tokens_per_second", "tokens a second", ".0f"),
        ("peak_memory_gb", "peak memory (GB)", ".1f"),
    )
    rows += [(name, format(done[key], form)) for key, name, form in measured if isinstance(done.get(key), (int, float))]
    return "## Training\n\n| | |\n| --- | --- |\n" + "\n".join(f"| {name} | {value} |" for name, value in rows)


def _limits(facts: CardFacts) -> str:
    cut, split, dropped = (facts.lengths.get(key) for key in ("rows_cut", "rows_split", "rows_dropped"))
    limits = [
        "It knows the kind of ads it was trained on; other languages, occupations or layouts are not measured here.",
        "It finds skills that the ad names word by word. What an ad only implies it is not trained to list.",
        "It may write skills that do not stand in the ad (see *verbatim*): check them where that matters.",
        "It reads ads, not people. Do not let it decide about applicants.",
    ]
    if cut:
        limits.insert(1, f"{cut} training texts were longer than {facts.lengths['max_length']} tokens and were cut.")
    if split:
        limits.insert(1, f"{split} ads longer than {facts.lengths['max_length']} tokens were trained on in parts.")
    if dropped:
        limits.insert(1, f"{dropped} ads longer than {facts.lengths['max_length']} tokens were not trained on.")
    if (gold := facts.metrics.get("adapter", {}).get("gold_skills")) is not None and gold < 300:
        limits.append(f"Its score rests on {gold} gold skills only: differences of a few points are chance.")
    if facts.license is None:
        limits.append("The licence of the base applies; it is not known to the platform that wrote this card.")
    return "## Limits\n\n" + "\n".join(f"- {limit}" for limit in limits)


def _lineage(facts: CardFacts) -> str:
    return f"""## Lineage

Digests (sha256) of the artifacts it was made of. Each artifact has a manifest that names its own inputs, down to the bytes
of the ads.

```json
{json.dumps(facts.lineage, indent=1, sort_keys=True)}
```"""
