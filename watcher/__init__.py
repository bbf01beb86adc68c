"""The watcher: the only daemon with the database. It plans jobs, publishes them and takes the reports."""
