#!/bin/sh
# Make a kind node of a Debian with kind's files in it.
set -eu

chmod 0755 /kind /kind/bin /kind/bin/* /usr/local/bin/*

# Services: only what a node needs. systemd-binfmt would register things in the host's kernel.
rm -f /lib/systemd/system/multi-user.target.wants/* /etc/systemd/system/*.wants/* \
  /lib/systemd/system/local-fs.target.wants/* /lib/systemd/system/sockets.target.wants/*udev* \
  /lib/systemd/system/sockets.target.wants/*initctl* /lib/systemd/system/basic.target.wants/*
find /lib/systemd/system/sysinit.target.wants/ -name systemd-tmpfiles-setup.service -delete
echo "ReadKMsg=no" >> /etc/systemd/journald.conf
systemctl enable kubelet.service containerd.service undo-mount-hacks.service
systemctl mask systemd-binfmt.service
mkdir -p /etc/kubernetes/manifests

# Where the node container lacks CAP_SYS_RESOURCE, raising a limit or lowering an OOM score fails: ask for neither.
sed -i -e '/^OOMScoreAdjust=/d' -e '/^Limit/d' /etc/systemd/system/containerd.service
sed -i 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' /etc/containerd/config.toml

# One pause image: the one that kubeadm names.
version=$(kubeadm version -o short)
pause=$(kubeadm config images list --kubernetes-version "$version" | grep /pause:)
sed -i "s|sandbox_image = .*|sandbox_image = \"$pause\"|" /etc/containerd/config.toml
printf '%s' "$version" > /kind/version

ctr oci spec \
  | jq '.hooks.createContainer += [{"path": "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)' \
  > /etc/containerd/cri-base.json
