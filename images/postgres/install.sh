#!/bin/sh
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install -y --no-install-recommends \
  ca-certificates libpq5 libxml2 libxslt1.1 libicu72 liblz4-1 libzstd1 libssl3 libreadline8 libgssapi-krb5-2 \
  libldap-2.5-0 libpam0g libsystemd0 libuuid1 tzdata
cd /tmp
apt-get download postgresql-15 postgresql-client-15
for package in /tmp/postgresql-*.deb; do dpkg-deb -x "$package" /; done
rm -rf /tmp/postgresql-*.deb /usr/lib/postgresql/15/lib/bitcode /usr/lib/postgresql/15/lib/llvmjit* \
  /usr/share/doc /usr/share/man /usr/share/locale /usr/share/postgresql/15/man \
  /var/lib/apt/lists/* /var/cache/* /var/log/*
missing=$(ldd /usr/lib/postgresql/15/bin/* 2>/dev/null | grep 'not found' | sort -u || true)
[ -z "$missing" ] || { echo "libraries are missing: $missing"; exit 1; }

# 999 is what the upstream image runs as, 65532 what every other image of ours does; initdb wants to know either.
printf 'postgres:x:999:999:postgres:/tmp:/usr/sbin/nologin\nplatform:x:65532:65532:platform:/tmp:/usr/sbin/nologin\n' >> /etc/passwd
printf 'postgres:x:999:\nplatform:x:65532:\n' >> /etc/group
mkdir -p /var/lib/postgresql/data /var/run/postgresql
chown 65532:65532 /var/lib/postgresql/data
chmod 1777 /var/run/postgresql
