"""What a check asks of a certificate, and what one says. No I/O but the reading of this host's authorities."""

import re
import ssl
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from cryptography import x509

from swlb.config import Check
from swlb.config.source import counted
from swlb.config.web_values import Authority
from swlb.durations import DAY
from swlb.probes.outcome import Target

# From openssl/x509_vfy.h; Python's ssl module has no names for them.
NOT_YET_VALID = 9
EXPIRED = 10
SELF_SIGNED = 18
SELF_SIGNED_ABOVE = 19
ISSUER_UNKNOWN = frozenset({2, 20, 21, 27})
OF_ANOTHER = frozenset({62, 64})  # a host name, an address
# The codes whose sentence needs the certificate itself.
TOLD_BY_CERTIFICATE = frozenset({NOT_YET_VALID, EXPIRED, *OF_ANOTHER})

HOUR = 3600
SHOWN_NAMES = 3
NAME = re.compile(r"[!-~]{1,255}")  # anybody may write anything into a certificate


class Certificate(NamedTuple):
    """Whose it is, and when it begins and ends to be good."""

    names: tuple[str, ...]
    begins: datetime
    ends: datetime


@lru_cache(maxsize=256)
def context_of(verify: bool, ca: Authority | None) -> ssl.SSLContext:
    """How TLS is spoken by such a check. Made once: with the host's own authorities it takes 30 ms."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca is None:
        context.load_default_certs()
    else:
        # What the operator names is trusted: an authority, one below another, or the server's own certificate.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=ca.certificates)
    return context


def name_of(check: Check, target: Target) -> str:
    """The name that the server is asked for and its certificate must have."""
    return (check.certificate_name or str(target.address)).rstrip(".")


@lru_cache(maxsize=1024)
def read_certificate(der: bytes) -> Certificate | None:
    """What it says; None of what cannot be read."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        return Certificate(_names(certificate), certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    except Exception:
        # Mangled ones end in many exceptions, and with `verify: false` anybody may present one.
        return None


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    names = [str(name.value) for name in extension.value if isinstance(name, x509.DNSName | x509.IPAddress)]
    return tuple(name for name in names if NAME.fullmatch(name))


def expiry_warning(certificate: Certificate | None, within_s: float, now: datetime) -> str:
    """'certificate expires in 3 days (2026-11-30)' where it ends within that time, else ''."""
    soon = certificate is not None and (certificate.ends - now).total_seconds() <= within_s
    return f"certificate {_end(certificate, now)}" if soon and certificate else ""


def refusal(error: ssl.SSLCertVerificationError, certificate: Certificate | None, name: str, now: datetime) -> str:
    """Why the certificate is not good enough, and what to do about it where that is not plain."""
    code = error.verify_code
    if code == EXPIRED and certificate and certificate.ends <= now:
        return f"its certificate {_end(certificate, now)}"
    if code == EXPIRED:
        return "its certificate, or one above it, has expired"
    if code == NOT_YET_VALID and certificate and certificate.begins > now:
        return f"its certificate is not good before {certificate.begins:%Y-%m-%d %H:%M} UTC"
    if code in OF_ANOTHER:
        return f"its certificate is not for {name}{_whose(certificate)}; set server_name:, or verify: false"
    if code == SELF_SIGNED:
        return "its certificate is self-signed; set ca: to it, or verify: false"
    if code == SELF_SIGNED_ABOVE or code in ISSUER_UNKNOWN:
        why = "nobody who is trusted here has signed its certificate, or one between is missing"
        return f"{why}; set ca:, or verify: false"
    return f"its certificate is not good: {error.verify_message}"


def _whose(certificate: Certificate | None) -> str:
    if certificate is None:
        return ""
    names = certificate.names[:SHOWN_NAMES]
    more = ", ..." if len(certificate.names) > SHOWN_NAMES else ""
    return f" but for {', '.join(names)}{more}" if names else " and names nobody"


def _end(certificate: Certificate, now: datetime) -> str:
    left = (certificate.ends - now).total_seconds()
    day = f"({certificate.ends:%Y-%m-%d})"
    return f"expires in {_span(left)} {day}" if left > 0 else f"expired {_span(-left)} ago {day}"


def _span(seconds: float) -> str:
    if seconds >= DAY:
        return counted(int(seconds // DAY), "day")
    return counted(int(seconds // HOUR), "hour") if seconds >= HOUR else "less than an hour"
