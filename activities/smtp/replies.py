"""The replies of an SMTP server (RFC 5321 section 4.2), read from a stream that comes in pieces of any size."""

from __future__ import annotations

import aiosmtplib

#: Code, and text as the server wrote it; the texts of several lines are joined by line feeds.
Reply = tuple[int, bytes]

_LONGEST_REPLY = 65_536  # bytes; RFC 5321 knows no limit, a server's own help or EHLO takes a few thousand
_CODES = {b"%03d" % code: code for code in range(1000)}


class ReplyReader:
    """Cuts a stream into replies. Keeps at most one reply that is not complete."""

    def __init__(self) -> None:
        self._line = b""  # begun, and its end has not come
        self._texts: list[bytes] = []  # of the lines before it, of the same reply
        self._size = 0  # of those lines, bytes

    @property
    def is_amid_reply(self) -> bool:
        return bool(self._line or self._texts)

    def feed(self, data: bytes, replies: list[Reply]) -> None:
        """Append to `replies` each one that `data` completes.

        Raises aiosmtplib.SMTPException for what is no reply; those before it have been appended.
        """
        lines = (self._line + data).split(b"\n")
        self._line = lines.pop()
        for line in lines:
            code, mark, text = _CODES.get(line[:3]), line[3:4], line[4:].strip()
            if code is None or mark not in b" -\r":
                raise aiosmtplib.SMTPException(f"The server's reply cannot be understood: {line[:100]!r}")
            if mark == b"-":
                self._texts.append(text)
                self._size += len(line)
                self._check_size()
            elif self._texts:
                replies.append((code, b"\n".join((*self._texts, text))))
                self._texts.clear()
                self._size = 0
            else:
                replies.append((code, text))
        self._check_size()

    def _check_size(self) -> None:
        if self._size + len(self._line) > _LONGEST_REPLY:
            raise aiosmtplib.SMTPException(f"The server's reply is longer than {_LONGEST_REPLY} bytes.")
