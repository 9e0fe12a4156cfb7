"""The command line: `recsvc …`."""

from recsvc.startup import imports_that_stay


def main() -> None:
    """Loads the commands, and runs the one that is asked for."""
    with imports_that_stay():
        from recsvc.cli.commands import run
    run()
