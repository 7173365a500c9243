"""``python -m FlareMRCore VERB``: the command line, guarded so that child processes may import it."""

import sys

if __name__ == "__main__":
    from FlareMRCore.cli.main import main

    sys.exit(main())
