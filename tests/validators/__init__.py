"""Second opinions: what tools of other people read in Raven's output, against what the checker reads there."""
