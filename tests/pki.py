"""Certificates for tests: an authority, and what it signs for servers on loopback."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


class Pki:
    """Files of one authority in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority of a test")])
        certificate = self._signed(self._name, self._key, is_authority=True)
        self.ca = self._written("ca.pem", certificate)
        self._issued = 0

    def server(
        self, *names: str, days: float = 90, begun_days_ago: float = 30, self_signed: bool = False
    ) -> ssl.SSLContext:
        """What a server needs whose certificate is for these names and ends in so many days; negative is past."""
        self._issued += 1
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"server {self._issued}")])
        now = datetime.now(UTC)
        certificate = self._signed(
            name,
            key,
            names=names,
            begins=now - begun_days_ago * DAY,
            ends=now + days * DAY,
            signer=key if self_signed else None,
            issuer=name if self_signed else None,
        )
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.last = self._written(f"server{self._issued}.pem", certificate, secret)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.last)
        return context

    def _signed(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        *,
        names: tuple[str, ...] = (),
        begins: datetime | None = None,
        ends: datetime | None = None,
        signer: ec.EllipticCurvePrivateKey | None = None,
        issuer: x509.Name | None = None,
        is_authority: bool = False,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer or self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins or now - DAY)
            .not_valid_after(ends or now + 365 * DAY)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(list(map(_general, names))), critical=False)
        return builder.sign(signer or self._key, hashes.SHA256())

    def _written(self, file: str, certificate: x509.Certificate, secret: bytes = b"") -> str:
        path = self._folder / file
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + secret)
        return str(path)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
