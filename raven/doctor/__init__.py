"""`raven doctor`: what is wrong with an installation, and what to do. It changes nothing and leaves nothing behind."""
