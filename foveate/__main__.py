"""`python -m foveate`: the same as the command `foveate`."""

import sys

from foveate.pipelines.cli import main

if __name__ == "__main__":
    sys.exit(main())
