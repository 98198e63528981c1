"""What a Celery worker imports at its start: its setting `imports`, in `[celery] extra_celery_config`."""

from skillsengine.airflow.preload import preload
from skillsengine.airflow.stopping import connect

connect()
preload()
