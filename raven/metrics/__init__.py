"""Prometheus metrics of the daemons: what they are, who counts them, and the port that shows them.

Nothing else knows of metrics. They are counted from what is logged anyway (`events`), from what goes through the ports
(`ports`), and of the farm as a whole from looks at the database now and then (`farm`).
"""
