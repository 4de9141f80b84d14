#!/bin/bash
# Put the control plane's images into the node's own containerd: one static binary each, named as kubeadm names them.
# Usage: preload.sh FOLDER-WITH-BINARIES
set -euo pipefail

binaries=$1
work=$(mktemp -d -p /var/tmp)
layout=$work/layout
mkdir -p "$layout/blobs/sha256"
echo '{"imageLayoutVersion":"1.0.0"}' > "$layout/oci-layout"
manifests='[]'

# blob FILE: move it into the layout; print the start of its descriptor.
blob() {
  local digest size
  digest=$(sha256sum "$1" | cut -d' ' -f1)
  size=$(stat -c %s "$1")
  mv "$1" "$layout/blobs/sha256/$digest"
  echo "{\"digest\":\"sha256:$digest\",\"size\":$size}"
}

# image REFERENCE ROOTFS USER ENTRYPOINT…
image() {
  local reference=$1 rootfs=$2 user=$3 layer config manifest
  shift 3
  tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$rootfs" -cf "$work/layer" .
  layer=$(blob "$work/layer")
  jq -n --argjson layer "$layer" --arg user "$user" '{architecture: "amd64", os: "linux",
      config: {User: $user, Entrypoint: $ARGS.positional,
               Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]},
      rootfs: {type: "layers", diff_ids: [$layer.digest]}}' --args -- "$@" > "$work/config"
  config=$(blob "$work/config")
  jq -n --argjson layer "$layer" --argjson config "$config" '{schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      config: ($config + {mediaType: "application/vnd.oci.image.config.v1+json"}),
      layers: [$layer + {mediaType: "application/vnd.oci.image.layer.v1.tar"}]}' > "$work/manifest"
  manifest=$(blob "$work/manifest")
  manifests=$(jq -n --argjson all "$manifests" --argjson one "$manifest" --arg name "$reference" \
    '$all + [$one + {mediaType: "application/vnd.oci.image.manifest.v1+json",
                     annotations: {"io.containerd.image.name": $name}}]')
  rm -rf "$rootfs"
}

# rootfs NAME FILE…: a new folder with the files in /usr/local/bin.
rootfs() {
  local folder=$work/$1
  shift
  install -D -m 0755 -t "$folder/usr/local/bin" "$@"
  echo "$folder"
}

# libraries FOLDER FILE…: copy dynamically linked files into the folder, with what they are linked to.
libraries() {
  local folder=$1 file
  shift
  for file in "$@" $(ldd "$@" 2>/dev/null | grep -o '/[^ :)]*' | sort -u); do
    install -D -m 0755 "$(realpath "$file")" "$folder/$file"
  done
}

images=$(kubeadm config images list --kubernetes-version "$(kubeadm version -o short)")
named() { grep "/$1:" <<< "$images"; }

for component in kube-apiserver kube-controller-manager kube-scheduler; do
  image "$(named $component)" "$(rootfs $component "$binaries/$component")" 0:0 $component
done
image "$(named etcd)" "$(rootfs etcd "$binaries/etcd")" 0:0 etcd
image "$(named coredns)" "$(rootfs coredns "$binaries/coredns")" 65532:65532 coredns

# kube-proxy calls iptables, nft and the modules of iptables.
proxy=$(rootfs kube-proxy "$binaries/kube-proxy")
libraries "$proxy" /usr/sbin/xtables-nft-multi /usr/sbin/nft /usr/sbin/conntrack /usr/bin/kmod \
  /usr/lib/x86_64-linux-gnu/xtables/*.so
for name in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
  ln -s xtables-nft-multi "$proxy/usr/sbin/$name"
done
ln -s kmod "$proxy/usr/bin/modprobe"
ln -s usr/sbin "$proxy/sbin"
ln -s usr/bin "$proxy/bin"
mkdir -p "$proxy/run" "$proxy/tmp"
image "$(named kube-proxy)" "$proxy" 0:0 kube-proxy

image "$(named pause)" "$(rootfs pause /usr/bin/catatonit)" 65535:65535 catatonit -P

image localhost/oss-mlops-platform/local-path-provisioner:node \
  "$(rootfs local-path-provisioner "$binaries/local-path-provisioner")" 65532:65532 local-path-provisioner

helper=$(rootfs local-path-helper /usr/bin/busybox)
mkdir "$helper/bin"
for name in sh mkdir rm chmod; do ln -s ../usr/local/bin/busybox "$helper/bin/$name"; done
image localhost/oss-mlops-platform/local-path-helper:node "$helper" 0:0 sh

jq -n --argjson manifests "$manifests" '{schemaVersion: 2, manifests: $manifests}' > "$layout/index.json"

# containerd without its configuration: the snapshots are made in the node, not here.
printf 'version = 3\n' > "$work/config.toml"
containerd --config "$work/config.toml" --root /var/lib/containerd --state "$work/state" --address "$work/socket" \
  --log-level error > "$work/log" 2>&1 &
daemon=$!
trap 'kill $daemon 2>/dev/null || true' EXIT
for _ in $(seq 100); do ctr --address "$work/socket" version > /dev/null 2>&1 && break; sleep 0.1; done
tar -C "$layout" -cf - . | ctr --address "$work/socket" --namespace k8s.io images import --local --no-unpack - \
  || { cat "$work/log"; exit 1; }
missing=$(comm -23 <(sort <<< "$images") <(ctr --address "$work/socket" --namespace k8s.io images ls -q | sort))
[ -z "$missing" ] || { echo "not imported: $missing"; exit 1; }
kill $daemon
wait $daemon || true
rm -rf "$work"
