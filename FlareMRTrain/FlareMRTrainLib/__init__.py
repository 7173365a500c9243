"""What FlareMRTrain consists of: one panel for each tab, and what they share.

Panels compute nothing. They start commands of FlareMRCore in child processes and show the files
that runs write, so that a run from the command line looks like one that was started here.
"""
