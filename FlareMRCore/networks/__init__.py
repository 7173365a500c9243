"""Network modules and their named builders (torch)."""
