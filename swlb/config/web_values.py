"""The values of checks over HTTP and TLS that name hosts and authorities."""

import re
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from pathlib import Path

from swlb.config.values import expected

MAX_NAME_LEN = 255
LABEL = "[A-Za-z0-9_-]{1,63}"  # RFC 1035 section 2.3.4, and the underscores that names inside a site have
HOST_NAME = re.compile(rf"{LABEL}(?:\.{LABEL})*\.?")
HOST_PORT = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::[0-9]{1,5})?")

# What a PEM file holds beside certificates (keys, comments in any encoding) is nobody's business here.
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
MAX_CA_LEN = 4 * 1024 * 1024  # the authorities of a whole system take a quarter of a MiB


@dataclass(frozen=True)
class Authority:
    """Whose certificates are trusted: what a PEM file held when the configuration was read."""

    path: str
    certificates: str = field(repr=False)

    def __str__(self) -> str:
        return self.path


def read_host_port(value: object) -> str:
    """What a Host header says."""
    match = HOST_PORT.fullmatch(value) if isinstance(value, str) else None
    if not match or not (_is_address(match[1]) if match[1].startswith("[") else _is_host_name(match[1])):
        raise expected("a host name or an address, with a port where it matters: example.org:8443, [fd00:2::11]")
    return match[0]


def host_of(host_port: str) -> str:
    """The name or address in what a Host header says, without the port."""
    return re.sub(":[0-9]+$", "", host_port).strip("[]")


def read_server_name(value: object) -> str:
    """The name of a certificate's owner, or an address."""
    if not isinstance(value, str) or not (_is_host_name(value) or _is_address(f"[{value}]")):
        raise expected("a host name such as example.org, or an address")
    return value


def read_ca(value: object) -> Authority:
    """The certificates of a PEM file."""
    what = "the full path of a PEM file with certificates"
    if not isinstance(value, str) or not value.startswith("/"):
        raise expected(what)
    try:
        data = _read(Path(value))
    except (OSError, ValueError) as error:
        raise expected(f"{what}; this one cannot be read: {getattr(error, 'strerror', error)}") from None
    if data is None:
        raise expected(f"{what}; there is no such file")
    certificates = CERTIFICATE.findall(data.decode("latin-1"))
    if not certificates:
        raise expected(f"{what}; there is none in this one")
    _refuse_bad(certificates, what)
    return Authority(value, "\n".join(certificates))


def _read(path: Path) -> bytes | None:
    """What the file holds; None without one. A device or a pipe, which may never end, is none."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return file.read(MAX_CA_LEN)


def _refuse_bad(certificates: list[str], what: str) -> None:
    # ssl takes 10 ms to import, and few configurations name a file.
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for position, certificate in enumerate(certificates, start=1):
        try:
            context.load_verify_locations(cadata=certificate)
        except ssl.SSLError:
            raise expected(f"{what}; number {position} in this one is damaged") from None


def _is_host_name(text: str) -> bool:
    return len(text) <= MAX_NAME_LEN and bool(HOST_NAME.fullmatch(text))


def _is_address(text: str) -> bool:
    """Whether it is an IPv6 address in brackets, without a zone."""
    try:
        return IPv6Address(text[1:-1]).scope_id is None
    except ValueError:
        return False
