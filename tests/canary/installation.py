"""An installation with a canary in every place where a secret can stand."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.canary.planting import Canaries, new_secret


@dataclass(frozen=True)
class Planted:
    """Environment variables and files with canaries in them."""

    canaries: Canaries
    person: Path
    """HOME: with a netrc, a Hub login and AWS credentials; what else is written there is searched."""
    token_file: Path
    env: Mapping[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """For a process of its own: nothing of whoever runs the tests but the paths to programs."""
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "LANG")}
        return {**kept, **self.env}


def plant(person: Path, *, s3: tuple[str, str, str] | None = None, ports: Mapping[str, int] | None = None) -> Planted:
    """Plant them below `person`. `s3`: (endpoint, key, secret) that the connection `ads-store` gives; `ports`: of the mail and
    HTTP servers that the connections `team-mail` and `team-hook` name."""
    canaries, ports = Canaries(), ports or {"mail": 1, "hook": 1}
    add = canaries.add

    def cage(path: Path, text: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        canaries.cages.add(path)
        return path

    netrc = add("netrc", new_secret(odd=False))
    hosts = ("api.wandb.ai", "127.0.0.1", "localhost")
    cage(person / ".netrc", "".join(f"machine {host}\n  login user\n  password {netrc}\n" for host in hosts))
    aws = add("the AWS credentials file", new_secret())
    cage(person / ".aws" / "credentials", f"[other]\naws_access_key_id = AKIAOTHER\naws_secret_access_key = {aws}\n")
    token = add("serve's token file", new_secret("token-", odd=False))
    token_file = cage(person / "serve-token", token + "\n")
    endpoint, key, secret = s3 or ("http://127.0.0.1:1", "AKIAADS", new_secret())
    store = {
        "conn_type": "aws",
        "login": key,
        "password": add("the S3 connection's password", secret),
        "extra": {
            "endpoint_url": endpoint,
            "region_name": "us-east-1",
            "session_secret": add("the S3 connection's extra", new_secret()),
        },
    }
    mail = {
        "conn_type": "smtp",
        "host": "127.0.0.1",
        "port": ports["mail"],
        "login": "skills",
        "password": add("the mail connection's password", new_secret(odd=False)),
        "extra": {"from_email": "skills@example.com", "disable_ssl": True, "disable_tls": True},
    }
    hook = {
        "conn_type": "http",
        "host": "127.0.0.1",
        "port": ports["hook"],
        "password": add("the hook connection's password", new_secret(odd=False)),
        "extra": {
            "endpoint": "hooks/" + add("the hook connection's path", new_secret(odd=False)),
            "headers": {"X-Key": add("the hook connection's header", new_secret(odd=False))},
        },
    }
    env = {
        "HOME": str(person),
        "TMPDIR": str(person / "tmp"),
        "WANDB_API_KEY": add("WANDB_API_KEY", new_secret(odd=False, alphabet="0123456789abcdef")),
        "HF_TOKEN": add("HF_TOKEN", new_secret("hf_", odd=False)),
        "HF_HUB_OFFLINE": "1",
        "AWS_ACCESS_KEY_ID": "AKIAPLATFORM",
        "AWS_SECRET_ACCESS_KEY": add("AWS_SECRET_ACCESS_KEY", new_secret()),
        "AWS_EC2_METADATA_DISABLED": "true",
        "SKILLSENGINE_AIRFLOW_URL": f"http://admin:{add('SKILLSENGINE_AIRFLOW_URL', new_secret(odd=False))}@127.0.0.1:1",
        "SKILLSENGINE_SERVE_URL": "http://127.0.0.1:1",
        "SKILLSENGINE_SERVE_TOKEN_FILE": str(token_file),
        "AIRFLOW_CONN_ADS_STORE": json.dumps(store),
        "AIRFLOW_CONN_TEAM_MAIL": json.dumps(mail),
        "AIRFLOW_CONN_TEAM_HOOK": json.dumps(hook),
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    (person / "tmp").mkdir()
    return Planted(canaries, person, token_file, env)
