#!/bin/sh
# Install both packages with what is in the image: nothing is fetched, and nothing is resolved again.
set -eu

PYTHONPATH=$(echo /usr/share/python-wheels/pip-*.whl) /opt/venv/bin/python -m pip install --quiet --root-user-action=ignore \
  --no-index --no-deps --no-build-isolation --no-cache-dir --no-compile /tmp/auditor /tmp/plugin

packages=/opt/venv/lib/python3.11/site-packages
for package in "$packages"/cabc*/; do
  /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash "$package"
done
