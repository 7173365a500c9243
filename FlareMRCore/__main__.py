"""``python -m FlareMRCore VERB``: the command line, safe to import by child processes."""


def run() -> None:
    """Run the command line and end the process with its exit code (the `flaremr` command)."""
    from FlareMRCore.cli.interrupts import leave
    from FlareMRCore.cli.main import main

    leave(main())


if __name__ == "__main__":
    run()
