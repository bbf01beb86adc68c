"""How a farm scales: `python -m benchmarks.farm --help`."""
