"""How Airflow runs an experiment. Imports airflow, never torch."""
