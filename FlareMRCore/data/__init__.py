"""What the numbers mean: geometry, volumes, label tables, cases, files and the phantom."""
