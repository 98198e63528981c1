"""Bounds that the command line and Airflow's form share. Light: every DAG file that is parsed reads them."""

from __future__ import annotations

MOST_CELLS = 500
"""Cells of one run: what is asked for stands in the catalog and in Airflow's form."""
