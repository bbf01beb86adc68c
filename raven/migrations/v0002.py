"""Version 2: notices to the callback_url of tasks."""

from __future__ import annotations

from raven.ports import Database

_TABLES = """
CREATE TABLE IF NOT EXISTS notices (
    id         INTEGER PRIMARY KEY /*M! AUTO_INCREMENT */,
    task_id    INTEGER NOT NULL,
    event      VARCHAR(16) NOT NULL,
    url        VARCHAR(2048) NOT NULL,
    host       VARCHAR(255) NOT NULL,
    body       MEDIUMTEXT NOT NULL,
    state      VARCHAR(16) NOT NULL DEFAULT 'waiting',
    attempts   INTEGER NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    due_at     BIGINT NOT NULL,
    until      BIGINT NOT NULL,
    tried_at   BIGINT,
    code       INTEGER,
    message    VARCHAR(1000)
) /*M! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin */;
CREATE INDEX IF NOT EXISTS notices_due ON notices (state, due_at);
CREATE INDEX IF NOT EXISTS notices_task ON notices (task_id, state);
"""


def upgrade(database: Database) -> None:
    database.script(_TABLES)
