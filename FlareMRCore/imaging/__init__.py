"""Pure functions on volumes and label maps (numpy, SciPy, SimpleITK, cc3d)."""
