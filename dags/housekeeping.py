"""What the platform itself does every day: an Airflow DAG beside those of the experiments."""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, CronTriggerTimetable

from skillsengine.airflow.housekeeping import CHORES, ChoreTask

# With a dot in its name, which no experiment's can have.
with DAG(
    "skillsengine.housekeeping",
    description="Removes leftovers, looks at artifacts, sends what Weights & Biases has not got yet.",
    schedule=CronTriggerTimetable("30 3 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=1,
    tags=["skillsengine", "housekeeping"],
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
