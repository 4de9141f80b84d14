"""A real API server for tests: etcd, kube-apiserver and, when asked, kube-controller-manager as local processes.

There is no node. Whoever needs Pods to run plays the kubelet with `tests.support.kubelet`.
"""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

__all__ = ["ApiServer", "binary", "running_api_server"]

_START_SECONDS = 60.0
_CONTROLLERS = (
    "daemonset-controller",
    "deployment-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "persistentvolume-binder-controller",
    "replicaset-controller",
    "replicationcontroller-controller",
    "resourcequota-controller",
    "serviceaccount-controller",
    "statefulset-controller",
)


def binary(name: str) -> Path:
    """Return a binary of the toolchain; `MLOPS_BIN_DIR` names a folder to take it from instead."""
    folder = os.environ.get("MLOPS_BIN_DIR")
    if folder:
        return Path(folder) / name
    from mlops import toolchain

    return toolchain.binary(name)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _pem(key: Any) -> bytes:
    return bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )


def _certificates(folder: Path) -> None:
    """Write a CA, a serving certificate for loopback and a key pair for service accounts."""
    now = dt.datetime.now(dt.UTC)

    def certificate(name: str, issuer: x509.Name, key: Any, signer: Any, *, ca: bool) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        alternatives = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
            .sign(signer, hashes.SHA256())
        )

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")])
    ca = certificate("test CA", ca_name, ca_key, ca_key, ca=True)
    serving = certificate("127.0.0.1", ca_name, key, ca_key, ca=False)
    (folder / "ca.crt").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    (folder / "serving.crt").write_bytes(serving.public_bytes(serialization.Encoding.PEM))
    (folder / "serving.key").write_bytes(_pem(key))
    accounts = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (folder / "accounts.key").write_bytes(_pem(accounts))
    (folder / "accounts.pub").write_bytes(
        accounts.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


class ApiServer:
    """A running control plane; use it as a context manager, it is gone afterwards."""

    def __init__(self, folder: Path, *, controllers: bool = False) -> None:
        self.folder = folder
        self.port = _free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self._etcd_port = _free_port()
        self._with_controllers = controllers
        self._processes: list[subprocess.Popen[bytes]] = []
        self._tls: ssl.SSLContext | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, error, trace
        self.stop()

    def _start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        _certificates(self.folder)
        self._tls = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        (self.folder / "tokens.csv").write_text('admin-token,admin,1,"system:masters"\n')
        (self.folder / "kubeconfig").write_text(json.dumps(self.kubeconfig()))
        self._run("etcd", *self._etcd_flags())
        self.start_api_server()
        if self._with_controllers:
            self._run(
                "kube-controller-manager",
                f"--kubeconfig={self.folder / 'kubeconfig'}",
                f"--controllers={','.join(_CONTROLLERS)}",
                f"--service-account-private-key-file={self.folder / 'accounts.key'}",
                f"--root-ca-file={self.folder / 'ca.crt'}",
                "--leader-elect=false",
                "--secure-port=0",
                "--namespace-sync-period=1s",
                "--kube-api-qps=200",
                "--kube-api-burst=400",
            )
            self._until(lambda: bool(self.get("/api/v1/namespaces/default/serviceaccounts")["items"]))

    def _etcd_flags(self) -> list[str]:
        client, peer = f"http://127.0.0.1:{self._etcd_port}", f"http://127.0.0.1:{_free_port()}"
        return [
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=error",
        ]

    def start_api_server(self) -> None:
        """Start kube-apiserver (again) and wait until it serves."""
        self._run(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self.port}",
            f"--cert-dir={self.folder}",
            f"--tls-cert-file={self.folder / 'serving.crt'}",
            f"--tls-private-key-file={self.folder / 'serving.key'}",
            f"--service-account-key-file={self.folder / 'accounts.pub'}",
            f"--service-account-signing-key-file={self.folder / 'accounts.key'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.96.0.0/16",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--endpoint-reconciler-type=none",
            "--shutdown-delay-duration=0s",
        )
        self._until(lambda: self.get("/api/v1/namespaces/default")["kind"] == "Namespace")

    def stop_api_server(self) -> None:
        """End kube-apiserver, as an outage would."""
        process = next(p for p in self._processes if "kube-apiserver" in str(p.args[0]))  # type: ignore[index]
        self._processes.remove(process)
        process.kill()
        process.wait(timeout=20)

    def _run(self, name: str, *flags: str) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        with log:
            self._processes.append(
                subprocess.Popen([str(binary(name)), *flags], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            )

    def _until(self, done: Any) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            for process in self._processes:
                if process.poll() is not None:
                    message = f"{process.args!r} ended with {process.returncode}; see the logs in {self.folder}"
                    raise RuntimeError(message)
            with suppress(OSError, ValueError, KeyError):
                if done():
                    return
            time.sleep(0.1)
        message = f"the API server did not come up; see the logs in {self.folder}"
        raise TimeoutError(message)

    def stop(self) -> None:
        """End the processes, youngest first; nothing they hold is worth a goodbye."""
        for process in reversed(self._processes):
            process.kill()
            process.wait(timeout=10)
        self._processes.clear()
        shutil.rmtree(self.folder / "etcd", ignore_errors=True)

    def kubeconfig(self) -> dict[str, Any]:
        """Return a kubeconfig for its administrator."""
        authority = base64.b64encode((self.folder / "ca.crt").read_bytes()).decode()
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": self.url, "certificate-authority-data": authority}}],
            "users": [{"name": "admin", "user": {"token": "admin-token"}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        }

    def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """Send a request past the provider under test, as `kubectl` or a controller would."""
        headers = {"Authorization": "Bearer admin-token", "Content-Type": content_type, "User-Agent": "kubectl-edit/1"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data=data, method=method, headers=headers)  # noqa: S310 (our own server)
        with urllib.request.urlopen(request, timeout=20, context=self._tls) as answer:  # noqa: S310 (our own server)
            return json.load(answer)

    def get(self, path: str) -> Any:
        """Return an object or a list."""
        return self.request("GET", path)

    def find(self, path: str) -> Any | None:
        """Return an object, or None where there is none."""
        try:
            return self.get(path)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (404, 429):  # 429: a kind that was just defined is not served yet
                return None
            raise

    def create(self, path: str, body: dict[str, Any]) -> Any:
        """Create an object."""
        return self.request("POST", path, body)

    def patch(self, path: str, body: Any, manager: str = "kubectl-edit") -> Any:
        """Merge a patch into an object, as `kubectl edit` does."""
        return self.request("PATCH", f"{path}?fieldManager={manager}", body, "application/merge-patch+json")

    def later(self, seconds: float, path: str, body: Any) -> None:
        """Merge a patch into an object in a while, and as soon as it exists."""

        def run() -> None:
            for _ in range(100):
                with suppress(urllib.error.HTTPError):
                    self.patch(path, body)
                    return
                time.sleep(0.1)

        timer = threading.Timer(seconds, run)
        timer.daemon = True
        timer.start()

    def delete(self, path: str) -> None:
        """Delete an object, if it is there."""
        with suppress(urllib.error.HTTPError):
            self.request("DELETE", path)


def running_api_server(factory: pytest.TempPathFactory, *, controllers: bool) -> Iterator[ApiServer]:
    """Serve as the body of a session fixture; skip where the binaries are not built."""
    names = ["etcd", "kube-apiserver", *(["kube-controller-manager"] if controllers else [])]
    for name in names:
        try:
            found = binary(name).is_file()
        except Exception as error:  # noqa: BLE001 (whatever the reason, there is no binary)
            pytest.skip(f"{name} is not built: {error}")
        if not found:
            pytest.skip(f"{name} is not built")
    with ApiServer(factory.mktemp("apiserver"), controllers=controllers) as server:
        yield server
