# Stand-in for a file of Slicer that the packaging test does not need.
