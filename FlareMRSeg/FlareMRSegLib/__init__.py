"""What FlareMRSeg consists of, one class per concern.

Only `MrmlBridge` and `SequenceBridge` touch MRML geometry, only `JobRunner` (with `ChildProcess`)
knows processes, only `DependencyInstaller` knows pip. Nothing here imports torch or widgets.
"""
