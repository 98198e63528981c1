"""A source's credentials from Airflow's connections."""

from __future__ import annotations

import json

import pytest

from skillsengine.airflow.connections import airflow_connect
from skillsengine.sources.errors import SourceError

FIELDS = {"conn_type": "aws", "login": "AKIA", "password": "secret"}


def test_a_name_that_no_shell_takes_has_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OUR_STORE", json.dumps(FIELDS))
    assert airflow_connect("our-store")["login"] == "AKIA"
    monkeypatch.setenv("AIRFLOW_CONN_OUR-STORE", json.dumps(FIELDS | {"login": "BKIA"}))
    assert airflow_connect("our-store")["login"] == "BKIA", "what has the very name comes first"
    assert airflow_connect("our_store")["login"] == "AKIA"


def test_the_text_names_a_variable_that_can_be_set() -> None:
    with pytest.raises(SourceError) as caught:
        airflow_connect("our-store")
    assert str(caught.value) == (
        "data.connection: `our-store`: Airflow has no such connection. Make it (`airflow connections add our-store "
        "--conn-type ...`, or the variable AIRFLOW_CONN_OUR_STORE on the workers), mend its name in the spec, or leave "
        "data.connection out: then the workers' own credentials are taken."
    )
