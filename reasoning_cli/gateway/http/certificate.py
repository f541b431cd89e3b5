"""The certificate that callers are answered with over TLS, and how the gateway's own commands know it again."""

from __future__ import annotations

import logging
import os
import ssl
from pathlib import Path

from reasoning_cli import settings as s
from reasoning_cli.errors import ConfigurationError
from reasoning_cli.settings import Settings

_log = logging.getLogger(__name__)
LOOK_SECONDS = 5
# A key may be shared with a group, as distributions do for their servers.
_TOO_OPEN = 0o027
_END = "-----END CERTIFICATE-----"


class Certificate:
    """A certificate (with those that lead to its issuer behind it) and its key, both as PEM. One that is renewed in
    place serves the connections that come after."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self.certificate, self.key = certificate, key
        self._context: ssl.SSLContext | None = None  # of this process
        self._seen: object = None
        self._problem: str | None = None

    def context(self) -> ssl.SSLContext:
        """What a server serves with. Raises ConfigurationError when the two do not make one, or the key is no
        secret."""
        fix = "`--tls-cert` and `--tls-key` (gateway.tls_cert, gateway.tls_key) name a certificate and its key, as PEM"
        for path in (self.certificate, self.key):
            try:
                with path.open("rb") as file:
                    mode = os.fstat(file.fileno()).st_mode
            except OSError as error:
                why = os.strerror(error.errno or 0).lower()
                raise ConfigurationError(f"cannot read `{path}`: {why}", fix) from None
        if mode & _TOO_OPEN:
            raise ConfigurationError(
                f"`{self.key}` is a private key, and others may read or change it", f"`chmod 600 {self.key}`"
            )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self.certificate, self.key, password=_no_password)
        except (ssl.SSLError, ValueError) as error:
            if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
                raise ConfigurationError(
                    f"`{self.key}` is the key of another certificate than `{self.certificate}`", fix
                ) from None
            raise ConfigurationError(
                f"`{self.certificate}` and `{self.key}` are no certificate and its key without a password", fix
            ) from None
        return context

    def serve(self, config: object = None, default: object = None) -> ssl.SSLContext:
        """The context of this server from now on; as uvicorn asks for it."""
        self._context, self._seen = self.context(), self._stamp()
        return self._context

    async def renew(self) -> None:
        """Serve with what the files hold now, when they changed; with what was before, when that makes no sense."""
        if self._context is None or self._seen == (stamp := self._stamp()):
            return
        try:
            self.context()  # a context that takes half of it is no good any more
            self._context.load_cert_chain(self.certificate, self.key, password=_no_password)
            self._seen, self._problem = stamp, None
        except (ConfigurationError, OSError) as error:
            if self._problem != str(error):
                _log.warning("the certificate stays as it was: %s", error)
            self._problem = str(error)

    def _stamp(self) -> object:
        try:
            return [(status.st_mtime_ns, status.st_ino) for status in (self.certificate.stat(), self.key.stat())]
        except OSError:  # in the middle of a renewal
            return None


def certificate_of(settings: Settings) -> Certificate | None:
    """What the settings serve TLS with, None without. Raises ConfigurationError for half of it."""
    certificate, key = settings.get(s.GATEWAY_TLS_CERT), settings.get(s.GATEWAY_TLS_KEY)
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        given, missing = ("key", "certificate") if certificate is None else ("certificate", "key")
        raise ConfigurationError(
            f"TLS has a {given} and no {missing}",
            "`--tls-cert` and `--tls-key`, or gateway.tls_cert and gateway.tls_key",
        )
    return Certificate(certificate, key)


def trusting(certificate: Path) -> ssl.SSLContext:
    """For a client that trusts this very certificate, whatever it is called by, and nothing else. Raises
    ConfigurationError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        first = certificate.read_text(encoding="ascii", errors="replace").partition(_END)[0]
        context.load_verify_locations(cadata=first[first.index("-----BEGIN") :] + _END)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"`{certificate}` is not a certificate: {error}", "gateway.tls_cert names one"
        ) from None
    return context


def _no_password() -> str:
    """Nobody is there to be asked for one."""
    raise ValueError("the key has a password")
