"""The three ports, each twice: MariaDB and SQLite, RabbitMQ and in-process, S3 and a directory."""
