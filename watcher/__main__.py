"""python -m watcher is raven-watcher."""

from watcher.daemon import main

main()
