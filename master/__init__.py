"""The master: the only daemon that reaches sources. It cuts them, publishes manifests and purges objects."""
