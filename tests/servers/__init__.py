"""Real MariaDB, RabbitMQ and Ceph servers, private to one test run."""
