"""Where the one-file executable starts (gochat.spec): what a program that unpacks itself must see to, then gochat."""

from __future__ import annotations

import fcntl
import os
import ssl
import sys
from pathlib import Path

from gochat.cli import main

#: Where distributions keep the certificates that they trust: Debian and Arch, Red Hat, SUSE, Alpine. The OpenSSL in the
#: file looks only where that of the machine does on which it was built.
TRUSTED = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def keep_unpacked() -> None:
    """Hold a lock on the folder in /tmp that the file was unpacked to. systemd-tmpfiles removes what nobody has read
    for ten days, a node's modules that it has yet to load among it; what is locked it leaves alone."""
    folder = os.open(sys._MEIPASS, os.O_RDONLY | os.O_DIRECTORY)  # type: ignore[attr-defined]
    fcntl.flock(folder, fcntl.LOCK_SH)


def find_certificates() -> None:
    """Name the machine's own trusted certificates, unless the user has or they are where they are looked for."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile or paths.openssl_cafile_env in os.environ:
        return
    for file in TRUSTED:
        if Path(file).exists():
            os.environ[paths.openssl_cafile_env] = file
            return


keep_unpacked()
find_certificates()
main()
