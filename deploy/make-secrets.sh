#!/usr/bin/env bash
# Make the secrets of compose.yaml, once: `deploy/make-secrets.sh [FOLDER]`, by default deploy/secrets. What is there stays, so
# that a second call only adds what is missing; to change a secret, see docs/cluster.md.
#
# The folder is its owner's alone (700). A container that is given a file runs as another user, and reads it by its group: the
# files are 640, and compose.yaml adds the owner's group, whose number this writes into .env, to each container's groups.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$here/secrets}
umask 077
mkdir -p "$folder"

random() { # 256 bits that need no quoting in a URL
  od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
}

put() { # NAME TEXT: without a line end, which programs would take for a part of the secret
  local file=$folder/$1
  if [ ! -e "$file" ]; then
    printf '%s' "$2" >"$file.new"
    chmod 640 "$file.new"
    mv "$file.new" "$file"
    echo "made $1"
  fi
}

put fernet_key "$(head -c 32 /dev/urandom | base64 | tr '+/' '-_')"
for name in api_secret_key jwt_secret postgres_password airflow_password celery_password redis_password admin_password; do
  put "$name" "$(random)"
done
put redis_auth "requirepass $(cat "$folder/redis_password")"
# Service files of libpq, named in SKILLSENGINE_CATALOG.
put catalog_service "$(printf '[catalog]\npassword=%s' "$(random)")"
put catalog_reader_service "$(printf '[catalog]\npassword=%s' "$(random)")"
# The login by which workers write notes on runs.
put worker_login "worker:$(random)"
# The same two keys as the clients' file and as the server's.
put s3_credentials "$(printf '[default]\naws_access_key_id=%s\naws_secret_access_key=%s' "$(random)" "$(random)")"
key() { sed -n "s/^$1=//p" "$folder/s3_credentials"; }
put s3_identities "$(printf '{"identities": [{"name": "skillsengine", "credentials": [{"accessKey": "%s", "secretKey": "%s"}], "actions": ["Admin", "Read", "List", "Tagging", "Write"]}]}' \
  "$(key aws_access_key_id)" "$(key aws_secret_access_key)")"

if [ "$folder" = "$here/secrets" ]; then
  dotenv=$here/../.env
  touch "$dotenv"
  grep -q '^SECRETS_GROUP=' "$dotenv" || echo "SECRETS_GROUP=$(id -g)" >>"$dotenv"
fi
echo "The password of the user admin is in $folder/admin_password."
