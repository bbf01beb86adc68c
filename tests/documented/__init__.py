"""Each command that the documents tell a person to type is run, or a table says which test does it, or why none can."""
