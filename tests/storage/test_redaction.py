"""Tests that secrets are hidden and everything else stays."""

from __future__ import annotations

import json
import logging

import hypothesis
import hypothesis.strategies as st
import pytest

from foveate.pipelines import cli
from foveate.pipelines.logs import set_up_logging
from foveate.storage.redaction import HIDDEN, redacted
from foveate.transforms.steps import attempt

SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"
TEXTS = [
    f"403 GET https://b.s3.amazonaws.com/a.jpg?X-Amz-Date=2026&X-Amz-Signature={SECRET}&x-id=1: Forbidden",
    f"https://storage.googleapis.com/b/a.jpg?X-Goog-Credential={SECRET}&X-Goog-Signature={SECRET}",
    f"HTTPSConnectionPool: https://s/upload/storage/v1/b/x/o?uploadType=resumable&upload_id={SECRET}",
    f"https://account.blob.core.windows.net/c/a.jpg?sv=2022&sig={SECRET}",
    f"proxy http://somebody:{SECRET}@proxy:3128 does not answer",
    f"headers: {{'Authorization': 'Bearer {SECRET}'}}",
    f"AWS4-HMAC-SHA256 Credential={SECRET}/20260101/us-east-1/s3/aws4_request, Signature={SECRET}",
    f"neither Foveate nor Beam knows --s3_secret_access_keyy={SECRET}",
    f"--s3_session_token {SECRET} --s3_region_name eu",
    json.dumps({"type": "service_account", "private_key": SECRET, "client_email": "a@b"}),
    f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n{SECRET}\n-----END PRIVATE KEY-----",
]


@pytest.mark.parametrize("text", TEXTS)
def test_secrets_are_hidden_in_whatever_form_they_come(text: str) -> None:
    assert SECRET not in redacted(text)
    assert HIDDEN in redacted(text)


def test_key_ids_and_tokens_of_clouds_are_hidden() -> None:
    assert "AKIAIOSFODNN7EXAMPLE" not in redacted("no such key AKIAIOSFODNN7EXAMPLE")
    assert "ya29.a0Af" not in redacted("token ya29.a0AfH6SMBx")


@pytest.mark.parametrize(
    "text",
    [
        "gs://bucket/trip [1]/ü #1?sig=the first of all signs.jpg",
        "/home/somebody/photos/token=1/secret garden.jpg",
        "no such bucket photos",
        "s3://bucket/key=a/b.jpg cannot be written: access refused",
        "https://example.org/photos/a.jpg?size=large",
        "--encrypt-key /keys/archive.key",
        "it changed after it was listed; run again",
    ],
)
def test_names_and_sentences_stay_as_they_are(text: str) -> None:
    assert redacted(text) == text


@hypothesis.given(st.text())
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    assert redacted(redacted(text)) == redacted(text)


def test_a_failure_row_contains_no_secret() -> None:
    def refused() -> None:
        raise ConnectionError(TEXTS[0])

    _, row = attempt("s3://bucket/a.jpg", "read", refused)
    assert row is not None
    assert SECRET not in row.message and "X-Amz-Date=2026" in row.message


def test_a_log_contains_no_secrets_even_in_tracebacks(capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("text", "json"):
        set_up_logging(form)
        try:
            raise ConnectionError(TEXTS[1])
        except ConnectionError:
            logging.getLogger("foveate").exception("of %s", TEXTS[2])
        said = capsys.readouterr().err
        assert "Traceback" in said and SECRET not in said
    set_up_logging()


def test_the_command_line_repeats_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["compress", "in", "--output", "out", f"--s3_secret_access_keyy={SECRET}"])
    assert cli.main(["compress", TEXTS[3], "--output", "out"]) == 2
    said = capsys.readouterr()
    assert SECRET not in said.err + said.out
    assert "s3_secret_access_keyy" in said.err
