#!/bin/sh
# Install the locked environment into /opt/venv, without what nothing reads at run time.
set -eu

[ ! -s /run/secrets/packages ] || . /run/secrets/packages
certificates=/run/secrets/certificates
[ -s $certificates ] || certificates=/etc/ssl/certs/ca-certificates.crt
export SSL_CERT_FILE=$certificates PIP_CERT=$certificates
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

PYTHONPATH=$(echo /usr/share/python-wheels/pip-*.whl) python3 -m pip install --quiet --target /tmp/uv uv==0.13.9

export UV_PROJECT_ENVIRONMENT=/opt/venv UV_LINK_MODE=copy UV_PYTHON=/usr/bin/python3 UV_PYTHON_DOWNLOADS=never
# Frozen: the lock names the auditor by its folder in the checkout, which is not here to be looked at.
/tmp/uv/bin/uv sync --project /opt/cabc --frozen --no-dev --no-install-package cabc --quiet

packages=/opt/venv/lib/python3.11/site-packages
rm -rf "$packages/pyarrow/tests" "$packages/pyarrow/include"
find "$packages" -name '*.pyi' -delete
# Unchecked: the layers of an image keep no reliable times, and a stale file cannot be rewritten there.
/opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash "$packages" > /dev/null || true

rm -rf /tmp/uv /opt/cabc
