"""register: a trained adapter becomes a numbered version: a folder that PEFT loads, with its card and all it came from.

Files: adapter_config.json, adapter_model.safetensors, the tokenizer's files, README.md (model card), version.json. None of
them holds an absolute path, so the folder can be moved, copied or pushed to a hub.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from skillsengine.modeling.adapter_files import ADAPTER_CONFIG
from skillsengine.stages.contract import Progress, StageConfig, StageContext, StageError, Summary
from skillsengine.stages.full_disk import full_disk
from skillsengine.stages.trained_lengths import trained_lengths
from skillsengine.storage.artifact import Artifact
from skillsengine.tracking.card import CardFacts, model_card

VERSION = 4

VERSION_FILE, CARD = "version.json", "README.md"
_ADAPTER, _TOKENIZER = "adapter", "tokenizer"
SELECTION = "selection.json"
"""What `select` has written beside the adapter that it chose."""
_SUBJECTS = ("adapter", "base", "lexicon")


def run(config: StageConfig, inputs: Mapping[str, Artifact], out: Path, context: StageContext) -> Summary:
    """Write the version `config.version_number` of the adapter `inputs["finetune"]`; returns {"model", "number", "version"}.

    `inputs["profile"]` and `inputs["evaluate[<subject>]"]` are told in the card where they are there.

    Raises StageError without a number, and where the adapter's folder is not whole.
    """
    spec, number = config.spec, config.version_number
    if number is None:
        raise StageError("register: the catalog has set no version number aside; run the stage through `run_stage`.")
    finetuned = inputs["finetune"]
    base = _portable_base(finetuned.json("base.json"), context.allowed_roots)
    template = finetuned.json("prompt.json")["template"]
    metrics = {
        subject: dict(inputs[f"evaluate[{subject}]"].summary)
        for subject in _SUBJECTS
        if f"evaluate[{subject}]" in inputs
    }
    lineage = _lineage(inputs, context.digest)
    facts = CardFacts(
        model=spec.model_name,
        number=number,
        experiment=spec.name,
        description=spec.description,
        owner=spec.owner,
        source=_portable(spec.data.source, context.allowed_roots),
        base=base,
        template=template,
        max_new_tokens=spec.evaluate.max_new_tokens,
        cleaning=spec.data.cleaning,
        shots=len(spec.evaluate.shots),
        lora=spec.lora,
        train=spec.train,
        trained_on=sorted(lineage["format"]),
        training=finetuned.summary,
        lengths=inputs["profile"].summary if "profile" in inputs else {},
        metrics=metrics,
        lineage=lineage,
        tested_digest=_tested(inputs),
    )
    with full_disk(out, "the version"):
        _copy(finetuned, out, facts.hub_id or base["model"])
    (out / CARD).write_text(model_card(facts), encoding="utf-8")
    version = {
        "model": spec.model_name,
        "number": number,
        "base": base,
        "prompt": {"template": template},
        "cleaning": list(spec.data.cleaning),
        "max_new_tokens": spec.evaluate.max_new_tokens,
        **trained_lengths(inputs.get("profile")),
        "lineage": lineage,
        "metrics": metrics,
    }
    text = json.dumps(version, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    (out / VERSION_FILE).write_text(text, encoding="utf-8")
    context.report(Progress(f"{facts.version} written", fraction=1.0))
    return {"model": spec.model_name, "number": number, "version": facts.version}


def _tested(inputs: Mapping[str, Artifact]) -> str | None:
    """Digest of the `format` artifact that the adapter was scored on; None where it was not scored."""
    cell = inputs.get("evaluate[adapter]")
    return None if cell is None else cell.manifest.inputs.get("format")


def _copy(finetuned: Artifact, out: Path, base: str) -> None:
    """Adapter and tokenizer side by side in `out`, as PEFT and transformers look for them.

    `base` is the name that the adapter's config gives its base: one that a user elsewhere can find.
    """
    for folder in (_ADAPTER, _TOKENIZER):
        if not finetuned.part(folder).is_dir():
            raise StageError(
                f"{finetuned.folder}: the finetune artifact holds no folder `{folder}`, so there is nothing to register. "
                "Look at it with `skillsengine doctor`, or train again with --force."
            )
    for name in finetuned.manifest.files:
        folder, _, file = name.partition("/")
        # peft writes a card of its own, with the base's path in it; ours takes its place.
        if folder in (_ADAPTER, _TOKENIZER) and file != CARD:
            (out / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(finetuned.file(name), out / file)
    adapter_config = json.loads((out / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    adapter_config["base_model_name_or_path"] = base
    (out / ADAPTER_CONFIG).write_text(json.dumps(adapter_config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _portable_base(record: Mapping[str, Any], roots: Sequence[Path]) -> dict[str, Any]:
    return {**record, "model": _portable(str(record["model"]), roots)}


def _portable(name: str, roots: Sequence[Path]) -> str:
    """A name as it means the same elsewhere: of an absolute path the part below the root it stands in, or its last part."""
    path = PurePath(name)
    if not path.is_absolute():
        return name
    for root in roots:
        if path.is_relative_to(root) and path != root:
            return path.relative_to(root).as_posix()
    return path.name


def _lineage(inputs: Mapping[str, Artifact], digest: str) -> dict[str, Any]:
    """Digests of the version itself, of what it was made of, and of what was measured; `format` by partition key."""
    adapter = inputs["finetune"]
    trained: dict[str, Any] = {
        "digest": adapter.digest,
        "inputs": adapter.manifest.inputs,
        "environment": adapter.manifest.environment,
    }
    chosen = {}
    if SELECTION in adapter.manifest.files:  # of a sweep: the trial is what was trained
        trained, chosen = adapter.json(SELECTION), {"select": adapter.digest}
    keys = {name: re.fullmatch(r"format\[(.*)\]", name) for name in trained["inputs"]}
    return {
        "register": digest,
        **chosen,
        "finetune": trained["digest"],
        "profile": trained["inputs"].get("profile"),
        "format": {match[1]: trained["inputs"][name] for name, match in keys.items() if match},
        "evaluate": {s: inputs[f"evaluate[{s}]"].digest for s in _SUBJECTS if f"evaluate[{s}]" in inputs},
        "environment": dict(trained["environment"]),
    }
