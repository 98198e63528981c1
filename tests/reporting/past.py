"""A made-up past of a model: real rows in a real catalog, real artifacts in a real store, and none of the work."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from skillsengine.settings import Settings, load_settings
from skillsengine.spec.load import resolved
from skillsengine.stages.rows import ROWS, Row, row_line
from skillsengine.storage.artifact import Artifact, Manifest
from skillsengine.storage.catalog import Catalog, VersionRow
from skillsengine.storage.store import Store
from tests.pipeline.project import tiny_experiment

ADS = {
    "nurse": ("A nurse with wound care, patience and basic Excel.", ["wound care", "patience"], ["patience", "Excel"]),
    "clerk": ("Monthly Excel reports, and tact.", ["Excel reports", "tact"], ["Excel", "tact", "juggling"]),
    "cook": ("Knife skills wanted.", ["Knife skills"], ["Knife skills"]),
}
"""Id -> text, gold, predicted."""
ERRORS = [
    {"id": "nurse", "key": "k-nurse", "missed": ["wound care"], "invented": ["Excel"], "boundary": []},
    {
        "id": "clerk",
        "key": "k-clerk",
        "missed": ["Excel reports"],
        "invented": ["Excel", "juggling"],
        "boundary": [["Excel reports", "Excel"]],
    },
]


def digest(*names: object) -> str:
    return hashlib.sha256(repr(names).encode()).hexdigest()


def metrics(f1: float, partition: str, subject: str = "adapter", **more: Any) -> dict[str, Any]:
    """Of a cell, as `evaluate` returns them."""
    ends = {f"{name}_{end}": round(f1 + shift, 3) for name in ("f1", "precision", "recall") for end, shift in ENDS}
    return {
        "subject": subject,
        "partition": partition,
        "rows": 3,
        "labelled": True,
        "labelled_rows": 3,
        "excluded_trained_on": 0,
        "excluded_near_copies": 1,
        "gold_skills": 5,
        "predicted_skills": 6,
        "true_positives": 3,
        "precision": f1 - 0.01,
        "recall": f1 + 0.01,
        "f1": f1,
        **ends,
        "macro_f1": f1 / 2,
        "fuzzy_f1": f1,
        "overlap_f1": f1,
        "parse_rate": 1.0,
        "verbatim_rate": 0.9,
        "skills_per_ad": 2.0,
        "token_f1": 0.91,
        "missed": 2,
        "invented": 3,
        "boundary": 1,
        "slices": {
            "length=short": {"ads": 2, "gold_skills": 3, "f1": f1, "f1_low": 0.1, "f1_high": 0.9},
            "length=long": {"ads": 1, "gold_skills": 2, "f1": f1, "f1_low": 0.0, "f1_high": 1.0},
        },
        **more,
    }


ENDS = (("low", -0.1), ("high", 0.1))


class Past:
    """Writes versions of the model `tiny` into a project."""

    def __init__(self, project: Path, spec: Mapping[str, Any] | None = None) -> None:
        (project / "experiments").mkdir(parents=True, exist_ok=True)
        self.settings: Settings = load_settings(project)
        self.catalog = Catalog.open(self.settings.catalog_url)
        self.store = Store(self.settings.store_root)
        self.spec = resolved(tiny_experiment(**(spec or {})))

    def publish(
        self,
        stage: str,
        name: str,
        files: Mapping[str, str],
        summary: Mapping[str, Any],
        key: str | None = None,
        **more: Any,
    ) -> Artifact:
        known = self.store.get(stage, digest(name))
        if known is not None:
            return known
        with self.store.building(stage, digest(name)) as out:
            for file, text in files.items():
                (out / file).write_text(text, encoding="utf-8")
            made = {"version": 1, "key": key, "digest": digest(name), "config": {}, "inputs": {}, "summary": summary}
            return self.store.publish(out, Manifest(stage, **(made | {"created": "2026-07-01T10:00:00+00:00"} | more)))

    def formatted(self, key: str, ads: Mapping[str, tuple[str, list[str], list[str]]]) -> Artifact:
        lines = [row_line(Row(name, text, tuple(gold), f"k-{name}")) for name, (text, gold, _) in ads.items()]
        config = {"files": [{"name": f"{key}.jsonl", "sha256": digest("bytes", key)}]}
        return self.publish("format", f"format {key}", {ROWS: "".join(lines)}, {"rows": len(ads)}, key, config=config)

    def evaluated(
        self, name: str, ads: Mapping[str, tuple[str, list[str], list[str]]], errors: Sequence[Mapping[str, Any]]
    ) -> Artifact:
        lines = [
            {"id": ad, "key": f"k-{ad}", "words": 9, "gold": gold, "predicted": predicted, "raw": "", "parsed": True}
            for ad, (_, gold, predicted) in ads.items()
        ]
        files = {"predictions.jsonl": _lines(lines), "errors.jsonl": _lines(errors)}
        return self.publish("evaluate", name, files, {}, "adapter")

    def version(
        self,
        number: int = 1,
        f1: float = 0.6,
        partition: str = "2026-03",
        *,
        ads: Mapping[str, tuple[str, list[str], list[str]]] = ADS,
        errors: Sequence[Mapping[str, Any]] = ERRORS,
        records: Sequence[Mapping[str, Any]] | None = None,
        more: Mapping[str, Any] | None = None,
        reason: str = "better",
    ) -> VersionRow:
        """A ready version with all its artifacts, its cell and its verdict; `more` is laid over its metrics."""
        catalog, key = self.catalog, partition
        trained = {"2026-01": self.formatted("2026-01", ads), "2026-02": self.formatted("2026-02", ads)}
        tested = self.formatted(key, ads)
        inputs = {f"format[{month}]": made.digest for month, made in trained.items()}
        profile = self.publish(
            "profile", f"profile {number}", {"lengths.json": json.dumps(LENGTHS)}, PROFILE, inputs=inputs
        )
        finetune = self.publish(
            "finetune",
            f"finetune {number}",
            {"metrics.jsonl": _lines(records or RECORDS)},
            FINETUNE,
            inputs={**inputs, "profile": profile.digest},
        )
        evaluations = {"adapter": self.evaluated(f"evaluate {number}", ads, errors)}
        nothing = {name: (text, gold, []) for name, (text, gold, _) in ads.items()}
        evaluations["base"] = self.evaluated("evaluate base", nothing, [])
        register = self.publish(
            "register", f"register {number}", {}, {"version": f"tiny@{number}"}, inputs={"finetune": finetune.digest}
        )
        run = catalog.pin_run(
            "tiny",
            f"r{number}",
            experiment="tiny",
            kind="retrain",
            partition=key,
            spec=self.spec,
            options={"files": {}},
            trigger="cli",
            spec_commit=None,
        )
        row = catalog.allocate_version(
            "tiny", finetune.digest, experiment="tiny", partition=key, run_id=run.id, spec=self.spec
        )
        catalog.start_step(run.id, "finetune", "finetune", None, finetune.digest)
        history = [{"step": step, "train/tokens_per_second": 90.0 + step} for step in (1, 2, 3)]
        catalog.update_step(run.id, "finetune", {"text": "step 3/3", "fraction": 1.0, "history": history})
        catalog.finish_step(run.id, "finetune", "done", 12.0, FINETUNE)
        told = metrics(f1, key) | (more or {})
        base = metrics(0.1, key, "base", shots=4)
        lineage = {
            "format": {month: made.digest for month, made in trained.items()},
            "profile": profile.digest,
            "finetune": finetune.digest,
            "evaluate": {subject: made.digest for subject, made in evaluations.items()},
            "environment": {"torch": "2.13.0"},
        }
        catalog.publish_version(
            "tiny", row.number, register.digest, str(register.path), {"adapter": told, "base": base}, lineage
        )
        self.cell(row, key, told, tested.digest, evaluations["adapter"].digest)
        verdict = verdict_of(row.number, reason, f1)
        catalog.set_verdict("tiny", row.number, verdict)
        catalog.set_run_data(run.id, gate=verdict, promotion={"moved": True, "reason": reason}, promoted=row.number)
        catalog.set_alias("tiny", "champion", row.number, reason=reason)
        catalog.finish_run(run.id, "success", f"tiny@{row.number}: {reason}")
        return catalog.resolve("tiny", str(row.number))

    def cell(
        self, row: VersionRow, key: str, told: Mapping[str, Any], data_digest: str = "d", artifact: str | None = None
    ) -> None:
        self.catalog.put_cell(
            subject=row.adapter_digest,
            kind="adapter",
            experiment="tiny",
            partition=key,
            data_digest=data_digest,
            artifact_digest=artifact or digest("cell", row.number, key),
            stage_version=4,
            metrics=told,
            adapter_digest=row.adapter_digest,
        )


def verdict_of(number: int, reason: str, f1: float) -> dict[str, Any]:
    return {
        "number": number,
        "champion": None,
        "metric": "f1",
        "opponent": "base",
        "passed_over": {},
        "verdict": "promote",
        "reason": reason,
        "scores": {
            "challenger": f1,
            "opponent": 0.1,
            "rows": 3,
            "gold_skills": 5,
            "partitions": [{"partition": "2026-03", "challenger": f1, "opponent": 0.1, "rows": 3, "gold_skills": 5}],
            "difference": f1 - 0.1,
            "low": 0.2,
            "high": 0.7,
            "p_value": 0.001,
        },
    }


LENGTHS = {
    name: {
        "count": sum(counts),
        "percentiles": {"50": 34, "99.5": 39, "100": 39},
        "histogram": {"edges": [32, 34, 36, 38, 40], "counts": counts},
    }
    for name, counts in (("all", [3, 4, 2, 1]), ("train", [3, 3, 2, 1]), ("validation", [0, 1, 0, 0]))
}
PROFILE = {"max_length": 48, "longest": 39, "rows": 10, "tokens": 350, "context_length": 512, "rows_cut": 0}
FINETUNE = {
    "steps": 3,
    "epochs": 1.0,
    "train_loss": 1.1,
    "validation_loss": 1.3,
    "best_step": 3,
    "tokens": 350,
    "tokens_per_second": 91.0,
    "seconds": 10.0,
    "peak_memory_gb": 0.4,
}
RECORDS: list[dict[str, Any]] = [
    {"step": 1, "epoch": 0.3, "loss": 2.0, "learning_rate": 0.0, "grad_norm": 1.0},
    {"step": 3, "epoch": 1.0, "loss": 1.1, "learning_rate": 0.01, "grad_norm": 0.5},
    {"step": 3, "epoch": 1.0, "eval_loss": 1.3},
]


def _lines(rows: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
