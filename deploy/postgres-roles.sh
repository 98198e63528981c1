#!/usr/bin/env bash
# Databases and roles, once, when the server's folder is new: one for Airflow, one for Celery's results, one for the catalog, none
# of which may enter another's. SECRETS is the folder with the passwords.
set -euo pipefail
secrets=${SECRETS:-/run/secrets}
password() { sed -n 's/^password=//p' "$secrets/$1"; }

# From standard input, so that no password stands in a list of processes.
psql --no-psqlrc --quiet -v ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<SQL
CREATE ROLE airflow LOGIN PASSWORD '$(cat "$secrets/airflow_password")';
CREATE ROLE celery LOGIN PASSWORD '$(cat "$secrets/celery_password")';
CREATE ROLE catalog LOGIN PASSWORD '$(password catalog_service)';
CREATE ROLE catalog_reader LOGIN PASSWORD '$(password catalog_reader_service)';
CREATE DATABASE airflow OWNER airflow;
CREATE DATABASE celery OWNER celery;
CREATE DATABASE catalog OWNER catalog;
REVOKE CONNECT ON DATABASE airflow, celery, catalog, postgres FROM PUBLIC;
GRANT CONNECT ON DATABASE catalog TO catalog_reader;
\connect catalog
ALTER DEFAULT PRIVILEGES FOR ROLE catalog GRANT SELECT ON TABLES TO catalog_reader;
SQL
