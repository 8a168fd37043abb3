"""Rewrites the golden digests: `python -m tests.golden`. Look at the difference before you commit it."""

import json

from tests.golden.cases import CASES, digests
from tests.golden.test_golden import EXPECTED

EXPECTED.write_text(json.dumps({name: digests(case) for name, case in CASES.items()}, indent=1) + "\n")
