"""Addresses as they may be printed and recorded."""

import re


def without_credentials(text: str) -> str:
    """The text without what may be secret in the URLs in it: user names, passwords and queries.

    See RFC 3986 for userinfo and query; signed URLs have their token in the latter.
    """
    return re.sub(r"(://)(?:[^/\s]*@)?([^\s?]*)(?:\?[^\s'\")]*)?", r"\1\2", text)
