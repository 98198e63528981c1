"""What the platform itself does every day: an Airflow DAG beside those of the experiments."""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, CronTriggerTimetable, Param

from skillsengine.airflow.housekeeping import CHORES, ChoreTask

GC_OLDER_THAN = "30d"
"""What nobody needs goes once it was not used for so long (90s, 15m, 6h, 3d); None keeps everything."""

# With a dot in its name, which no experiment's can have.
with DAG(
    "skillsengine.housekeeping",
    description="Removes leftovers and what nobody needs, looks at artifacts, sends what Weights & Biases has not got yet.",
    schedule=CronTriggerTimetable("30 3 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=1,
    tags=["skillsengine", "housekeeping"],
    params={
        "gc_older_than": Param(
            GC_OLDER_THAN,
            type=["null", "string"],
            pattern=r"^\d{1,9}[smhd]$",
            title="Garbage older than",
            description="Artifacts that nobody needs go once they were not used for so long: 30d. Empty: none goes.",
        )
    },
    default_args={
        "owner": "skillsengine",
        "retries": 2,
        "retry_delay": timedelta(minutes=5),
        "execution_timeout": timedelta(hours=3),
    },
) as housekeeping:
    housekeeping.doc_md = "\n".join(f"- `{name}`: {chore.__doc__}" for name, chore in CHORES.items())
    for name in CHORES:
        ChoreTask(task_id=name)
