"""python -m master is raven-master."""

from master.daemon import main

main()
