"""Messages reach standard error in these tests as they do from the command line."""

import pytest

from foveate.pipelines.logs import set_up_logging


@pytest.fixture(autouse=True)
def logging_is_set_up() -> None:
    set_up_logging()
