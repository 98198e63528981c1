"""The files of `benchmarks.specs`: experiments of ours; YAML of dag-factory with one DAG of six tasks, the stages and
the report; and `twin`, YAML of dag-factory with the two DAGs that an experiment becomes, task by task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

SPEC = """\
extends: _base/llama2.yaml
name: {name}
description: Skills of job {number}
owner: team-{team}
tags: [skills, bench]
schedule: {schedule}
start_date: 2021-01-01
data:
  source: {source}
base: {{model: meta-llama/Llama-2-13b-hf}}
lora: {{r: {rank}}}
train: {{epochs: 2, learning_rate: 1e-4}}
"""
BASE = """\
base: {quantization: nf4}
lora: {r: 32, alpha: 64, target_modules: [q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, lm_head]}
tokens: {max_length: auto, length_percentile: 99.5}
resources: {queue: gpu, pool: default_pool, retries: 2}
"""
STAGES = ("format", "profile", "finetune", "evaluate", "register", "report")
RETRAIN = ("format", "profile", "finetune", "evaluate", "register", "gate", "promote", "report")
EVALUATIONS = ("evaluate", "report")
MONTHLY = '"0 0 1 * *"'
PEER = """\
{name}:
  description: Skills of job {number}
  doc_md: |
    Trains, scores and registers an adapter.
  schedule: {schedule}
  start_date: 2021-01-01
  catchup: false
  max_active_runs: 4
  tags: [skillsengine, skills, bench]
  default_args:
    owner: team-{team}
    retries: 2
    retry_delay_sec: 30
    queue: gpu
    pool: default_pool
  tasks:
"""
PEER_TASK = """\
    - task_id: {stage}
      operator: airflow.providers.standard.operators.bash.BashOperator
      bash_command: "python -m train --stage {stage} --r {rank} --epochs 2 --learning-rate 1e-4"
      dependencies: [{before}]
"""
# The words `airflow` and `dag` let Airflow's scan find the file, as dag-factory's own documentation has it.
LOADER = """\
from airflow.sdk import dag  # noqa: F401
from dagfactory import load_yaml_dags

load_yaml_dags(globals_dict=globals())
"""


def name(number: int) -> str:
    return f"exp-{number:04}"


def spec(number: int, *, dated: bool = False) -> str:
    """One experiment: on a cron, as the peer's, or of a dated source, with a run for each month and tasks that wait for it."""
    return SPEC.format(
        name=name(number),
        number=number,
        team=number % 9,
        rank=8 * (1 + number % 8),
        schedule="partition" if dated else MONTHLY,
        source="data/ads/{partition}.jsonl" if dated else "data/ads",
    )


def write_ours(folder: Path, count: int, *, dated: bool = False) -> None:
    """`count` specs that extend one base, below `folder`/experiments."""
    (folder / "experiments" / "_base").mkdir(parents=True)
    (folder / "experiments" / "_base" / "llama2.yaml").write_text(BASE)
    for number in range(count):
        (folder / "experiments" / f"{name(number)}.yaml").write_text(spec(number, dated=dated))


def write_peer(folder: Path, count: int, dags: Mapping[str, Sequence[str]] | None = None) -> None:
    """`count` YAML files, each with DAGs of these names' endings and tasks, and the one file that loads them all."""
    (folder / "dags").mkdir(parents=True)
    (folder / "dags" / "load.py").write_text(LOADER)
    for number in range(count):
        text = ""
        for ending, stages in (dags or {"": STAGES}).items():
            schedule = "null" if ending else MONTHLY
            text += PEER.format(name=name(number) + ending, number=number, team=number % 9, schedule=schedule)
            for place, stage in enumerate(stages):
                before = stages[place - 1] if place else ""
                text += PEER_TASK.format(stage=stage, before=before, rank=8 * (1 + number % 8))
        (folder / "dags" / f"{name(number)}.yaml").write_text(text)


def write_twin(folder: Path, count: int) -> None:
    write_peer(folder, count, {"": RETRAIN, ".evaluations": EVALUATIONS})
