"""What Airflow finds by its plugin."""

from __future__ import annotations

import subprocess
import sys

from skillsengine.airflow.plugin import SkillsenginePlugin
from skillsengine.airflow.ui.links import PREFIX, STATIC


def test_the_pages_are_mounted_where_airflow_s_frames_look_for_them() -> None:
    (app,) = SkillsenginePlugin().fastapi_apps
    assert app["url_prefix"] == PREFIX
    views = {view["destination"]: view for view in SkillsenginePlugin.external_views}
    assert views["nav"]["href"] == f"{PREFIX}/experiments".removeprefix("/"), "relative: Airflow may have a base path"
    assert views["dag"]["href"] == f"{PREFIX}/dags/{{DAG_ID}}".removeprefix("/")
    for view in views.values():
        for icon in (view["icon"], view["icon_dark_mode"]):
            assert (STATIC / icon.removeprefix(f"{PREFIX}/static/".removeprefix("/"))).is_file()


def test_only_the_api_server_loads_the_pages() -> None:
    code = (
        "import sys; from skillsengine.airflow.plugin import SkillsenginePlugin as P; P().external_views; "
        "print([name for name in sys.modules if name.startswith(('skillsengine.airflow.ui', 'skillsengine.reporting'))])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == "[]", "schedulers and tasks load the plugin too"
