#!/usr/bin/env bash
# What a cluster needs before its first task, and after an upgrade: tables, users, the pool of the GPUs, the bucket. Every step
# may be repeated. SECRETS is the folder with the passwords.
set -euo pipefail
secrets=${SECRETS:-/run/secrets}
here=$(cd "$(dirname "$0")" && pwd)

airflow db migrate
skillsengine runs >/dev/null # whoever opens the catalog first makes or upgrades its tables

# Passwords go in by standard input, where `airflow users create` asks for them; a user who is there stays as he is.
user() { # NAME ROLE PASSWORD
  printf '%s\n%s\n' "$3" "$3" | airflow users create --username "$1" --role "$2" \
    --firstname "$1" --lastname skillsengine --email "$1@localhost"
}
login=$(cat "$secrets/worker_login")
user admin Admin "$(cat "$secrets/admin_password")"
user "${login%%:*}" User "${login#*:}"

# One slot a GPU, set once: it is edited in Airflow's UI when there are more.
airflow pools get gpu >/dev/null 2>&1 || airflow pools set gpu 1 "one slot for each GPU"

python "$here/make_bucket.py"
