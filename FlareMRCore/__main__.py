"""``python -m FlareMRCore VERB``: the command line, safe to import by child processes."""

if __name__ == "__main__":
    from FlareMRCore.cli.interrupts import leave
    from FlareMRCore.cli.main import main

    leave(main())
