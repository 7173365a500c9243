"""FlareMRCore: segmentation of 13 abdominal organs in MR images, and training without MR labels.

Layers, each importing only from those to its right:
cli -> pipeline -> training -> inference -> networks -> imaging -> data -> progress, errors.
`weights` stands beside `inference` and imports `data` and `errors` only.
Importing this package imports nothing else.
"""

__version__ = "0.1.0"
