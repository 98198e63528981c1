"""The Experiments pages inside Airflow's own UI.

`app` is a FastAPI application that Airflow's API server mounts under `/skillsengine` (see `airflow.plugin`); Airflow shows its
pages in a frame: "Experiments" in the navigation, and a tab "Experiment" on every DAG's page. The pages are HTML made on the
server; scripts only make them quicker to use.

Where the pages' facts come from:

- Airflow's own database, in the API server's session: which experiments there are (the DAGs of our tags), owner, schedule, next
  run, paused or not, problems of specs (import errors), the spec itself (the code of its DAG, which holds the YAML and the
  resolved values). The API server need not see `experiments/` for any of it, and what a user may read is Airflow's to say.
- The catalog: runs, steps, versions, scores, verdicts. It needs the same `SKILLSENGINE_…` variables as the other parts.
- The store, where the API server sees it: histograms and lineage. Where it does not, the page says so in their place.
- `experiments/`, where the API server sees it: in which file and line each value was written.
"""
