#!/bin/sh
# Install the locked environment into /opt/venv, without what nothing reads at run time.
set -eu

[ ! -s /run/secrets/packages ] || . /run/secrets/packages
certificates=/run/secrets/certificates
[ -s $certificates ] || certificates=/etc/ssl/certs/ca-certificates.crt
export SSL_CERT_FILE=$certificates PIP_CERT=$certificates
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

# uv is needed here and not later, and so is the pip that fetches it.
apt-get update
apt-get install -y --no-install-recommends python3-pip-whl
PYTHONPATH=$(echo /usr/share/python-wheels/pip-*.whl) python3 -m pip install --quiet --target /tmp/uv uv==0.13.9

export UV_PROJECT_ENVIRONMENT=/opt/venv UV_LINK_MODE=copy UV_PYTHON=/usr/bin/python3 UV_PYTHON_DOWNLOADS=never
/tmp/uv/bin/uv sync --project /opt/platform --locked --no-dev --quiet

packages=/opt/venv/lib/python3.11/site-packages
for package in numpy scipy pandas pyarrow statsmodels matplotlib sklearn; do
  find "$packages/$package" -depth -type d \( -name tests -o -name include \) -exec rm -rf {} +
done
find "$packages" -name '*.pyi' -delete
rm -rf "$packages/jupyterlab_plotly"
# Unchecked: the layers of an image keep no reliable times, and a stale file cannot be rewritten there.
/opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash "$packages" > /dev/null || true

rm -rf /tmp/uv /opt/platform/install.sh
apt-get purge -y --autoremove python3-pip-whl
rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/*
