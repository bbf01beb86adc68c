"""python -m worker is raven-worker."""

from worker.daemon import main

main()
