#!/bin/bash
# Run once by the image, when the database is made: the owner of Sixfold's rows, who is no superuser. It
# may create roles, because the schema comes with the role of the nodes.
set -euo pipefail

password=$(cat "${OWNER_PASSWORD_FILE:-/run/secrets/owner.password}")
psql -X -q -v ON_ERROR_STOP=1 -v "password=$password" --username postgres --dbname postgres <<'SQL'
create role sixfold login createrole password :'password';
create database sixfold owner sixfold template template0 encoding 'UTF8' locale 'C';
SQL
