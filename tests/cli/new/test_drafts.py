"""`skillsengine new` as a newcomer types it: own files under own names."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from skillsengine.sources.keys import key_of, previous
from tests.cli.conftest import Command
from tests.cli.new.ads import ads, as_csv, as_jsonl, renamed, spec_of, tree
from tests.docker.test_control_plane import RUN_CLI, control_python


def test_from_an_own_file_to_a_run(command: Command, project: Path, elsewhere: Path) -> None:
    rows = renamed(ads(80), id="Ref", text="Ad Text", skills="Required Skills")
    (elsewhere / "ads.csv").write_text("\ufeff" + as_csv(rows, ", ", ";"), encoding="utf-8")
    said = command("new", "mine", "--data", str(elsewhere / "ads.csv"), "--base", "base")
    assert said.code == 0, said.err

    data = spec_of(project).data
    assert (data.source, data.text, data.labels) == ("data/own/mine/ads.csv", "Ad Text", "Required Skills")
    assert (data.label_format, data.id, data.dated) == ("comma", "Ref", False)
    assert (project / "data" / "own" / "mine" / "ads.csv").read_bytes() == (elsewhere / "ads.csv").read_bytes()

    lines = said.out.splitlines()
    assert lines[0].startswith("mine · all 80 rows")
    assert "text          Ad Text          the longest texts" in said.out
    assert "100% of them in the row's text" in said.out
    assert "written experiments/mine.yaml" in lines
    assert said.out.count("### Job Description: Shop ") == 3
    assert '### Skills: ["TIG welding", "first aid"]</s>' in said.out
    assert re.search(r"─ ad-0000 · \d+ tokens, \d+ supervised ─", said.out)
    assert "lengths of 80 training rows, ad and answer: mean " in said.out
    assert "`max_length: auto` takes " in said.out
    assert said.out.count("█") > 10
    tail = said.out[said.out.index("next:") :]
    assert "skillsengine validate experiments/mine.yaml " in tail
    assert "skillsengine run experiments/mine.yaml --limit 50 " in tail
    assert "  skillsengine up " in tail
    assert "unpause" not in tail

    assert command("validate", "experiments/mine.yaml").out == "ok mine.yaml: mine, schedule none\n"
    ran = command("run", "experiments/mine.yaml", "--limit", "50")
    assert ran.code == 0, ran.err
    # What was shown of lengths is what the stage decides on the same rows.
    whole = ("--set", "data.split.test=0", "--set", "data.split.validation=0")
    profiled = command("run", "experiments/mine.yaml", "--until", "profile", *whole)
    chosen = said.out.partition("`max_length: auto` takes ")[2].split()[0]
    assert f"max length {chosen} " in profiled.out


def test_months_in_files(command: Command, project: Path, elsewhere: Path) -> None:
    months = previous(key_of(datetime.now(UTC).date()), 3)
    for number, key in enumerate(months):
        (elsewhere / f"{key}.jsonl").write_text(as_jsonl(ads(20, number * 20)))
    said = command("new", "mine", "--data", str(elsewhere), "--base", "base")
    assert said.code == 0, said.err
    experiment = spec_of(project)
    assert experiment.data.source == "data/own/mine/{partition}.jsonl"
    assert (experiment.data.window, str(experiment.start_date)) == (2, f"{months[1]}-01")
    assert (experiment.schedule, experiment.paused) == ("partition", True)
    assert "skillsengine unpause mine " in said.out
    ran = command("run", "experiments/mine.yaml", "--limit", "50")
    assert ran.code == 0, ran.err
    assert f"partition {months[-1]}" in ran.out
    assert "has no data for" not in ran.out


def test_months_of_long_ago_are_run_by_hand(command: Command, project: Path, elsewhere: Path) -> None:
    """A schedule would wait for the ads of last month, which an export of old ones does not have."""
    for number, key in enumerate(("2021-01", "2021-02", "2021-03")):
        (elsewhere / f"{key}.jsonl").write_text(as_jsonl(ads(20, number * 20)))
    said = command("new", "mine", "--data", str(elsewhere), "--base", "base")
    assert said.code == 0, said.err
    experiment = spec_of(project)
    assert (experiment.effective_schedule, str(experiment.start_date), experiment.paused) == (
        "none",
        "2021-02-01",
        False,
    )
    text = (project / "experiments" / "mine.yaml").read_text()
    assert "by hand: a run takes the newest month with ads, 2021-03" in text
    last = previous(key_of(datetime.now(UTC).date()), 1)[0]
    assert f"take this line once ads of {last} are there" in text
    assert "unpause" not in said.out and "`Trigger` there starts a run" in said.out
    scheduled = re.sub(r"(?m)^schedule: none.*\n", "", text).replace("# schedule: partition", "schedule: partition")
    (project / "experiments" / "mine.yaml").write_text(scheduled)
    assert command("validate", "experiments/mine.yaml").out == "ok mine.yaml: mine, schedule partition\n"


def test_a_column_with_dates(command: Command, project: Path) -> None:
    rows = [{**row, "posted": f"2026-0{1 + number % 4}-{1 + number % 28:02d}"} for number, row in enumerate(ads(160))]
    (project / "ads.csv").write_text(as_csv(rows))
    said = command("new", "mine", "--data", "ads.csv", "--base", "base")
    assert said.code == 0, said.err
    data = spec_of(project).data
    assert (data.source, data.date_column, data.period, data.window) == ("ads.csv", "posted", "month", 3)
    assert not (project / "data").exists()
    ran = command("run", "experiments/mine.yaml", "--limit", "50")
    assert ran.code == 0, ran.err


def test_files_called_as_splits(command: Command, project: Path) -> None:
    (project / "ads").mkdir()
    for number, name in enumerate(("train", "validation", "test")):
        (project / "ads" / f"{name}.jsonl").write_text(as_jsonl(ads(20, number * 20)))
    said = command("new", "mine", "--data", "ads", "--base", "base")
    assert "one set, divided by the names of its files" in said.out
    assert spec_of(project).data.source == "ads"
    ran = command("run", "experiments/mine.yaml", "--limit", "50")
    assert ran.code == 0, ran.err


@pytest.mark.parametrize("count", [6, *(pytest.param(n, marks=pytest.mark.nightly) for n in (12, 30))])
def test_few_ads(count: int, command: Command, project: Path) -> None:
    (project / "few.csv").write_text(as_csv(renamed(ads(count), skills="tags")))
    assert command("new", "mine", "--data", "few.csv", "--base", "base").code == 0
    ran = command("run", "experiments/mine.yaml", "--limit", "50")
    assert ran.code == 0, ran.err


def write_parquet(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ads(60)), path)


def write_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(as_jsonl(ads(60)).encode()))


def write_encoded(path: Path) -> None:
    path.write_text(as_csv([{**row, "skills": json.dumps(row["skills"])} for row in ads(60)]))


def write_printed(path: Path) -> None:
    path.write_text(as_csv([{**row, "skills": str(row["skills"])} for row in ads(60)], separator="\t"))


@pytest.mark.parametrize(
    ("name", "write", "label_format"),
    [
        ("ads.parquet", write_parquet, "list"),
        ("ads.jsonl.gz", write_gzip, "list"),
        ("ads.json", lambda path: path.write_text(json.dumps(ads(60), indent=1)), "list"),
        ("ads.csv", lambda path: path.write_text(as_csv(ads(60))), "semicolon"),
        ("ads2.csv", write_encoded, "json"),
        ("ads.tsv", write_printed, "json"),
    ],
)
def test_formats(name: str, write: Callable[[Path], Any], label_format: str, command: Command, project: Path) -> None:
    write(project / name)
    said = command("new", "mine", "--data", name, "--base", "base")
    assert said.code == 0, said.err
    data = spec_of(project).data
    assert (data.source, data.text, data.labels, data.id, data.label_format) == (
        name,
        "text",
        "skills",
        "id",
        label_format,
    )
    assert '["TIG welding", "first aid"]' in said.out


def test_options_instead_of_guesses(command: Command, project: Path) -> None:
    rows = [{**row, "notes": f"{row['text']} " * 3, "tags": row["skills"][:1], "key": row["id"][3:]} for row in ads(60)]
    (project / "ads.jsonl").write_text(as_jsonl(rows))
    said = command(
        "new", "mine", "--data", "ads.jsonl", "--base", "base", "--text", "text", "--labels", "tags", "--id", "key"
    )
    data = spec_of(project).data
    assert (data.text, data.labels, data.id) == ("text", "tags", "key")
    assert "as --text says" in said.out


def test_a_dry_run_writes_nothing_and_prints_a_spec(command: Command, project: Path, elsewhere: Path) -> None:
    (elsewhere / "ads.csv").write_text(as_csv(ads(60)))
    before = tree(project)
    said = command("new", "mine", "--data", str(elsewhere / "ads.csv"), "--base", "base", "--dry-run")
    assert said.code == 0
    assert tree(project) == before
    assert yaml.safe_load(said.out)["data"]["source"] == "data/own/mine/ads.csv"
    assert said.out.startswith("# Drafted by ")
    assert "the longest texts" in said.err


@pytest.mark.parametrize(
    ("base", "reason"),
    [
        ("nobody/no-such-model", "base.model: `nobody/no-such-model` is not in this machine's Hub cache"),
        ("meta-llama/Llama-2-7b-hf", "base.model: `meta-llama/Llama-2-7b-hf` is not in this machine's Hub cache"),
        ("no-such-folder", "base.model: `no-such-folder` is no base that is known here."),
        ("./data", "base.model: `./data` is not a model folder:"),
    ],
)
def test_a_base_that_cannot_be_had_is_said(base: str, reason: str, command: Command, project: Path) -> None:
    (project / "data").mkdir()
    (project / "data" / "ads.csv").write_text(as_csv(ads(60)))
    said = command("new", "mine", "--data", "data/ads.csv", "--base", base)
    assert said.code == 0, said.err
    assert spec_of(project).base.model == base
    assert f"no tokens to show {reason}" in said.out
    assert (
        "The spec is written all the same. `skillsengine doctor experiments/mine.yaml` looks whether the base can be had, "
        "`skillsengine pull experiments/mine.yaml` fetches it; then `skillsengine preview experiments/mine.yaml` shows the "
        "tokens."
    ) in said.out
    assert said.out.count("### Job Description: Shop ") == 3
    assert re.search(r"lengths of 60 training rows, ad and answer: mean \d\d words; 50 % at most \d\d, ", said.out)
    assert "next:" in said.out


def test_a_large_base_is_looked_at_before_it_runs(command: Command, project: Path) -> None:
    (project / "ads.csv").write_text(as_csv(ads(60)))
    said = command("new", "mine", "--data", "ads.csv", "--base", "meta-llama/Llama-2-7b-hf")
    tail = said.out[said.out.index("next:") :]
    assert tail.index("skillsengine doctor") < tail.index("skillsengine pull") < tail.index("skillsengine run")


def test_without_the_worker_extra(project: Path) -> None:
    (project / "ads.csv").write_text(as_csv(ads(60)))
    done = control_python(project, RUN_CLI, "new", "mine", "--data", "ads.csv")
    assert done.returncode == 0, done.stderr
    assert spec_of(project).base.model == "smollm2-135m-instruct"
    assert "no tokens to show skillsengine.draft.measure needs the library `" in done.stdout
    assert "it is part of the extra `worker`" in done.stdout
    assert re.search(r"mean \d\d words", done.stdout)


def test_nothing_heavy_is_loaded_before_it_is_needed(project: Path) -> None:
    (project / "ads.csv").write_text(as_csv(ads(60)))
    code = (
        "import sys\nfrom skillsengine.cli import main\nsys.argv = 'skillsengine new mine --data ads.csv --dry-run'.split()\n"
        "try: main()\nexcept SystemExit as end: assert not end.code\n"
        "print('HEAVY', sorted(set(sys.modules) & {'torch', 'transformers', 'numpy', 'pandas', 'wandb', 'datasets'}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("HEAVY []")


def test_ads_without_labels(command: Command, project: Path) -> None:
    rows = [{"text": f"{row['text']} Write to us soon, all of you.", "city": "Aarhus"} for row in ads(60)]
    (project / "ads.csv").write_text(as_csv(rows))
    said = command("new", "mine", "--data", "ads.csv", "--base", "base")
    assert said.code == 0
    assert (
        "LOOK AT THIS no column looks like the skills of an ad (left over: `city`): without labels nothing" in said.out
    )
    assert "no row with labels, so there is no training row to show" in said.out
    assert "# LOOK AT THIS: no column looks like" in (project / "experiments" / "mine.yaml").read_text()
    assert command("validate").code == 0


def test_rows_that_a_run_would_reject_are_told_before(command: Command, project: Path) -> None:
    rows = [row if number % 3 else {**row, "skills": ["juggling"]} for number, row in enumerate(ads(60))]
    (project / "ads.jsonl").write_text(as_jsonl(rows))
    said = command("new", "mine", "--data", "ads.jsonl", "--base", "base")
    assert (
        "20 of 60 rows would be rejected (none of the labels stands in the text: 20; the first: ads.jsonl:1: none of the "
        "labels stands in the text), and a run stands 10%: mend the rows, name other columns, or raise data.max_rejected."
    ) in said.out
    ran = command("run", "experiments/mine.yaml", "--until", "format")
    assert ran.code == 1
    assert "20 of 60 rows are rejected" in ran.err


def test_data_in_a_data_root_stays(
    command: Command, project: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere / "ads.csv").write_text(as_csv(ads(60)))
    monkeypatch.setenv("SKILLSENGINE_DATA_ROOTS", str(elsewhere))
    assert command("new", "mine", "--data", str(elsewhere / "ads.csv"), "--base", "base", "--no-copy").code == 0
    assert spec_of(project).data.source == str(elsewhere / "ads.csv")
    assert not (project / "data").exists()
    assert command("run", "experiments/mine.yaml", "--until", "format").code == 0


def test_from_a_folder_below(command: Command, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "mydata").mkdir()
    (project / "mydata" / "ads.csv").write_text(as_csv(ads(60)))
    monkeypatch.chdir(project / "mydata")
    said = command("new", "mine", "--data", "ads.csv", "--base", "../base")
    assert said.code == 0, said.err
    assert (spec_of(project).data.source, spec_of(project).base.model) == ("mydata/ads.csv", "./base")
    path = said.out.partition("written ")[2].split()[0]
    assert path == str(project / "experiments" / "mine.yaml")
    assert command("validate", path).code == 0


def test_force_replaces_spec_and_data(command: Command, project: Path, elsewhere: Path) -> None:
    (elsewhere / "ads.csv").write_text(as_csv(ads(60)))
    words = ("new", "mine", "--data", str(elsewhere / "ads.csv"), "--base", "base")
    assert command(*words).code == 0
    (elsewhere / "ads.csv").write_text(as_csv(renamed(ads(60, 60), text="ad")))
    assert command(*words).err == (
        "error: experiments/mine.yaml is there already, and is not overwritten. Choose another name, or replace "
        "it with --force.\n"
    )
    assert spec_of(project).data.text == "text"
    assert command(*words, "--force").code == 0
    assert spec_of(project).data.text == "ad"
    assert (project / "data" / "own" / "mine" / "ads.csv").read_bytes() == (elsewhere / "ads.csv").read_bytes()


def test_it_teaches_by_an_example(command: Command) -> None:
    said = command("new", "--help")
    assert "skillsengine new my-skills --data ~/ads.csv" in said.out
    for option in (
        "--data",
        "--text",
        "--labels",
        "--date",
        "--id",
        "--base",
        "--copy",
        "--no-copy",
        "--force",
        "--dry-run",
    ):
        assert option in said.out


@pytest.mark.nightly
@pytest.mark.shared
def test_real_ads_on_the_built_in_base(command: Command, project: Path, shared_data: Path, elsewhere: Path) -> None:
    """What the README promises: unedited, on a CPU, in two minutes."""
    lines = (shared_data / "skillspan" / "paragraph" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines[:400]]
    own = [
        {
            "Ref": row["id"],
            "Ad Text": row["job_description"],
            "Required Skills": row["skills"],
            "Posted On": "2026-03-09",
        }
        for row in rows
    ]
    (elsewhere / "ads.csv").write_text("\ufeff" + as_csv(own, ", ", ";"), encoding="utf-8")
    said = command("new", "mine", "--data", str(elsewhere / "ads.csv"))
    assert said.code == 0, said.err
    assert spec_of(project).data.text == "Ad Text"
    started = time.monotonic()
    ran = command("run", "experiments/mine.yaml", "--limit", "50")
    assert ran.code == 0, ran.err
    print(f"run --limit 50: {time.monotonic() - started:.0f} s")
