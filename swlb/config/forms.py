"""The forms that values of several mappings share, as annotations that pydantic reads. Their readers are in values."""

from typing import Annotated

from pydantic import PlainValidator

from swlb.config.values import NAME, Address, choice, matching, read_flag, read_host, seconds, whole
from swlb.durations import DAY

A_NAME = "a name of 1 to 63 letters, digits, '_', '.' and '-'"

Name = Annotated[str, matching(NAME, A_NAME)]
Host = Annotated[Address, PlainValidator(read_host)]
Flag = Annotated[bool, PlainValidator(read_flag)]
L4Port = Annotated[int, whole(1, 65535, "a port number")]
TableSize = Annotated[int, whole(1, 16_777_216)]
IdleTime = Annotated[float, seconds(0.001, 10 * DAY)]
ProbeTime = Annotated[float, seconds(0.01, DAY)]
Count = Annotated[int, whole(1, 1000)]
Datagrams = Annotated[int, whole(1, 65535)]
Reject = Annotated[str, choice("reset", "drop")]


def named(value: object) -> object:
    """Each mapping of a mapping learns the name it stands under."""
    if not isinstance(value, dict):
        return value
    return {name: {**entry, "name": name} if isinstance(entry, dict) else entry for name, entry in value.items()}
