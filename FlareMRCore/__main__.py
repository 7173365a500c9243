"""``python -m FlareMRCore VERB``: the command line, safe to import by child processes."""

import sys

if __name__ == "__main__":
    from FlareMRCore.cli.main import main

    sys.exit(main())
