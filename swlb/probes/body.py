"""What of a body has come, and what that decides. No I/O."""

import re

from swlb.config import Check
from swlb.config.check_values import Pattern

# An early look goes this far back into what was looked at before, so that a body in small pieces costs no more than
# one in a single piece. A longer match of a regular expression is found when the body has ended.
LOOK_BACK_LEN = 4096

# What follows can undo a match of these: the ends of text, the borders of words, and looking around.
CAN_BE_UNDONE = re.compile(rb"\$|\\[zZbB]|\(\?(?:<?[=!]|>)|[*+?}]\+")


class Body:
    """The first `body_limit` bytes of a body, looked through as they come."""

    def __init__(self, check: Check) -> None:
        self.kept = bytearray()
        self._check = check
        self._looked_len = 0
        self._found = check.content is None

    @property
    def is_asked_for(self) -> bool:
        """Whether the check wants to see any of it."""
        return self._check.content is not None or self._check.content_not is not None

    def add(self, chunk: bytes) -> bool:
        """The chunk is kept as far as the limit allows; whether all is decided, whatever may follow."""
        check = self._check
        self.kept += chunk[: check.body_limit - len(self.kept)]
        self._found = self._found or self._comes_to_light(check.content)
        is_bad = self._comes_to_light(check.content_not)
        self._looked_len = len(self.kept)
        is_good = self._found and check.content_not is None
        return is_good or is_bad or len(self.kept) >= check.body_limit

    @property
    def complaint(self) -> str:
        """What is wrong with what came, '' where nothing is."""
        wanted, unwanted = self._check.content, self._check.content_not
        if unwanted is not None and unwanted.is_in(self.kept):
            return f"{unwanted} found in the body"
        if wanted is not None and not wanted.is_in(self.kept):
            is_cut = len(self.kept) >= self._check.body_limit
            return f"{wanted} not found in the {'first ' if is_cut else ''}{len(self.kept)} bytes of the body"
        return ""

    def _comes_to_light(self, pattern: Pattern | None) -> bool:
        """Whether the pattern is in what came last, for good."""
        if pattern is None:
            return False
        start = max(0, self._looked_len - LOOK_BACK_LEN - len(pattern.text))
        if pattern.regex is None:
            return self.kept.find(pattern.text.encode(), start) >= 0
        return not CAN_BE_UNDONE.search(pattern.regex.pattern) and bool(pattern.regex.search(self.kept, start))
