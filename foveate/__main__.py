"""`python -m foveate`: the same as the command `foveate`."""

from foveate.pipelines.cli import entry

if __name__ == "__main__":
    entry()
