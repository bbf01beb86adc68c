"""Version 3: ids that never come to an end, and the age of history by an index.

To MariaDB an INTEGER has 31 bits, which history would have filled in some years; to SQLite it has 63. It copies each
table, which a long history takes minutes for; clients' INSERTs wait while `tasks` is copied.
"""

from __future__ import annotations

from raven.ports import Database

_STATEMENTS = """
/*M! ALTER TABLE tasks MODIFY id BIGINT AUTO_INCREMENT */;
/*M! ALTER TABLE jobs MODIFY id BIGINT AUTO_INCREMENT, MODIFY task_id BIGINT NOT NULL */;
/*M! ALTER TABLE notices MODIFY id BIGINT AUTO_INCREMENT, MODIFY task_id BIGINT NOT NULL */;
/*M! ALTER TABLE history MODIFY id BIGINT AUTO_INCREMENT, MODIFY task_id BIGINT NOT NULL, MODIFY job_id BIGINT,
    ADD INDEX IF NOT EXISTS history_at (at) */;
CREATE INDEX IF NOT EXISTS history_at ON history (at);
"""


def upgrade(database: Database) -> None:
    database.script(_STATEMENTS)
