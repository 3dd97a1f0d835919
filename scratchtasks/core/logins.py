"""Logins that other programs have written into text which our messages quote.

Nothing of the kind reaches a message, at the price of more than a password now and then.  What
compilers say is passed on instead, and loses nothing but passwords: `execute.process` sees to that.
"""

import re


def without_logins(text: str) -> str:
    """*text* with user names and passwords taken out of its URLs.

    A password may hold an `@` of its own, as browsers and pip read it: the last one ends it.  It
    may hold a slash, too, and the scheme or a slash behind it may be missing.
    """
    return re.sub(r"\S+", lambda word: _without_login(word[0]), text)


def _without_login(word: str) -> str:
    head, at, rest = word.rpartition("@")
    colon, slash = head.find(":"), head.find("/")
    if not at or colon == slash:  # neither is there
        return word
    if slash < 0 or 0 <= colon < slash - 1 or "@" in head[: max(colon, 0)]:
        # `user:password@` without a scheme, perhaps in quotes
        return head[: max(head.rfind(quote, 0, colon) for quote in "'\"") + 1] + rest
    path = head[slash:]
    return head[: len(head) - len(path.lstrip("/"))] + rest
