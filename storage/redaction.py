"""Removes secrets from texts that leave the process: logs, rows, messages."""

from __future__ import annotations

import re

HIDDEN = "[hidden]"

_SECRET_PARAMETER = (
    r"(?:x-(?:amz|goog)-(?:signature|credential|security-token)|signature|sig|awsaccesskeyid|googleaccessid|"
    r"upload_id|(?:access_|id_|refresh_|session)?token|api_?key|key|password|secret)"
)
_PATTERNS = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), replacement)
    for pattern, replacement in (
        # In URLs of the web: names in object stores may hold any character, and mean none of this.
        (rf"(https?://[^\s\"'<>]*?[?&;]{_SECRET_PARAMETER}=)[^&\s\"'<>]+", rf"\1{HIDDEN}"),
        (r"(\b[a-z][a-z0-9+.-]*://)[^/\s:@\"']+:[^/\s@\"']+@", rf"\1{HIDDEN}@"),
        (r"\b(bearer|basic)\s+[a-z0-9._~+/=-]{12,}", rf"\1 {HIDDEN}"),
        (r"\b(credential=|signature=)[a-z0-9/_+%=-]{12,}", rf"\1{HIDDEN}"),
        (r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", HIDDEN),
        (r"\bya29\.[a-z0-9._-]+", HIDDEN),
        (r"(--[a-z0-9_-]*(?:secret|token|password|access_key)[a-z0-9_-]*[= ])[^\s'\",]+", rf"\1{HIDDEN}"),
        (r"([\"']?(?:secret|token|password|private_key|secret_access_key|session_token)[\"']?\s*[:=]\s*[\"'])"
         r"[^\"']+", rf"\1{HIDDEN}"),
        (r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", HIDDEN),
    )
)  # fmt: skip


def redacted(text: str) -> str:
    """`text` with `HIDDEN` in place of every recognizable signature, token, password and key."""
    while (changed := _once(text)) != text:  # a URL may have several
        text = changed
    return text


def _once(text: str) -> str:
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text
