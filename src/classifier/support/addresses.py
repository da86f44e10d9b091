"""Removes secrets from URLs before they are printed or recorded."""

import re


def without_credentials(text: str) -> str:
    """Removes user names, passwords and queries from all URLs in a text.

    Signed URLs have their token in the query. RFC 3986 defines userinfo and query.
    """
    return re.sub(r"(://)(?:[^/\s]*@)?([^\s?]*)(?:\?[^\s'\")]*)?", r"\1\2", text)
