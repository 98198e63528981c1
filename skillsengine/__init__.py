"""A declarative experiment engine on Apache Airflow: a YAML spec becomes a cached, resumable fine-tuning pipeline."""

__version__ = "0.1.0"
