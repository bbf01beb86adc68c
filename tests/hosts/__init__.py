"""Hosts in network namespaces: each has its own network, host name, settings and folders, all share one kernel."""
