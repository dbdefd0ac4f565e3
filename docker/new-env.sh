#!/bin/sh
# Makes docker/.env from docker/.env.example, with new secrets; one that exists is left alone.
set -eu
cd "$(dirname "$0")"
target=${1:-.env}
if [ -e "$target" ]; then
    echo "$target exists and stays as it is." >&2
    exit 0
fi
umask 077
while IFS= read -r line; do
    case $line in
        \#*) ;;
        *=) line=$line$(od -An -N20 -tx1 /dev/urandom | tr -d ' \n') ;;
    esac
    printf '%s\n' "$line"
done <.env.example >"$target.new"
mv "$target.new" "$target"
echo "$target is written; LABEL_STUDIO_USERNAME and LABEL_STUDIO_PASSWORD in it are the log-in." >&2
