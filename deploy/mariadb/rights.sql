-- Who may do what in MariaDB (10.6 or newer). An administrator loads it after db.sql, and again after each
-- update and `raven migrate`:
--
--     mariadb -e 'CREATE DATABASE raven CHARACTER SET utf8mb4' && mariadb raven < db.sql
--     mariadb < deploy/mariadb/rights.sql      then accounts, as in accounts.sql.example
--
-- Tried by tests/deploy/test_mariadb.py on a real server, with each role's own connection.
--
-- Clients insert to create, delete their own to cancel, and never update. They see nothing of the database `raven`: theirs
-- is `raven_public`, where the view `tasks` holds the rows that their account has inserted. So INSERT INTO tasks,
-- SELECT ... FROM tasks and DELETE FROM tasks mean the same to a client as if it were alone, and `raven submit`, `list`,
-- `status`, `watch` and `cancel` work. Whose a row is says the account's name (column `owner`). So no name of an account may
-- contain an `@`, and there must be no anonymous account: with one, a client could call itself as it likes.
--
-- What rights cannot forbid: a client that means harm can hold locks on its own rows, and by a stricter isolation of its
-- own choice on the gaps beside them, for as long as its connection lasts; raven.cnf ends only transactions that sleep by
-- mistake. The watcher waits a second for each such row, every ten seconds, and goes on with the others. Then SHOW
-- PROCESSLIST, KILL, and ALTER USER ... ACCOUNT LOCK.

-- In whose name the view and the triggers act: nobody can log in as it, and it outlives administrators.
CREATE USER IF NOT EXISTS raven_definer@localhost ACCOUNT LOCK;
GRANT SELECT, INSERT, DELETE, TRIGGER ON raven.tasks TO raven_definer@localhost;
GRANT SELECT ON raven.jobs TO raven_definer@localhost;
GRANT SELECT, TRIGGER ON raven.history TO raven_definer@localhost;
GRANT SELECT ON raven.notices TO raven_definer@localhost;
GRANT SELECT ON raven.schema_version TO raven_definer@localhost;
GRANT SELECT ON mysql.roles_mapping TO raven_definer@localhost;

CREATE DATABASE IF NOT EXISTS raven_public CHARACTER SET utf8mb4;

-- what a client asks for is found without reading (or locking) the rows of others
CREATE INDEX IF NOT EXISTS tasks_owner ON raven.tasks (owner);

CREATE OR REPLACE DEFINER = raven_definer@localhost SQL SECURITY DEFINER VIEW raven_public.tasks AS
    SELECT id, source, profile, priority, options, callback_url, notify_email, keep_hours, reference, owner,
           status, progress, message, url, metadata, duration, created_at, started_at, finished_at
    FROM raven.tasks WHERE owner = SUBSTRING_INDEX(USER(), '@', 1)
    WITH CHECK OPTION;

-- How far a client's own tasks are, job by job, for `raven status` and `raven watch`.
CREATE OR REPLACE DEFINER = raven_definer@localhost SQL SECURITY DEFINER VIEW raven_public.jobs AS
    SELECT jobs.task_id, jobs.kind, jobs.position, jobs.state, jobs.attempt, jobs.node, jobs.done, jobs.speed, jobs.failures,
           jobs.message
    FROM raven.jobs JOIN raven.tasks ON tasks.id = jobs.task_id WHERE tasks.owner = SUBSTRING_INDEX(USER(), '@', 1);

-- For who may read all tasks (a display, a statistics program): by choice.
CREATE OR REPLACE DEFINER = raven_definer@localhost SQL SECURITY DEFINER VIEW raven_public.all_tasks AS
    SELECT * FROM raven.tasks;

-- What was told of a client's own tasks, and what came of it: its notices without their texts.
CREATE OR REPLACE DEFINER = raven_definer@localhost SQL SECURITY DEFINER VIEW raven_public.notices AS
    SELECT notices.id, notices.task_id, notices.event, notices.url, notices.state, notices.attempts, notices.created_at,
           notices.due_at, notices.tried_at, notices.code, notices.message
    FROM raven.notices JOIN raven.tasks ON tasks.id = notices.task_id
    WHERE tasks.owner = SUBSTRING_INDEX(USER(), '@', 1);

-- Whether the schema is that of the `raven` at hand.
CREATE OR REPLACE DEFINER = raven_definer@localhost SQL SECURITY DEFINER VIEW raven_public.schema_version AS
    SELECT version, since FROM raven.schema_version;

-- A second wall, for accounts that were given rights on raven.tasks itself. Operators pass.

DELIMITER //

CREATE OR REPLACE DEFINER = raven_definer@localhost TRIGGER raven.tasks_insert BEFORE INSERT ON raven.tasks FOR EACH ROW
BEGIN
    DECLARE me VARCHAR(128) DEFAULT SUBSTRING_INDEX(USER(), '@', 1);
    -- an id of the client's choice could be that of a deleted task, whose objects are still being removed
    IF (NEW.id <> 0 OR NEW.owner <> me OR NEW.status <> 'new' OR NEW.progress <> 0
        OR COALESCE(NEW.message, NEW.url, NEW.metadata, NEW.duration, NEW.started_at, NEW.finished_at) IS NOT NULL)
       AND NOT EXISTS (SELECT 1 FROM mysql.roles_mapping WHERE User = me AND Role = 'raven_operators') THEN
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
            'Raven writes this column: insert source, profile, priority, options, callback_url, notify_email, keep_hours, reference';
    END IF;
END //

CREATE OR REPLACE DEFINER = raven_definer@localhost TRIGGER raven.tasks_delete BEFORE DELETE ON raven.tasks FOR EACH ROW
BEGIN
    DECLARE me VARCHAR(128) DEFAULT SUBSTRING_INDEX(USER(), '@', 1);
    IF OLD.owner <> me
       AND NOT EXISTS (SELECT 1 FROM mysql.roles_mapping WHERE User = me AND Role = 'raven_operators') THEN
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'a task is deleted by the account that inserted it';
    END IF;
END //

-- scrub.py removes old history, with the watcher's account or its own; what has just happened nobody takes back
CREATE OR REPLACE DEFINER = raven_definer@localhost TRIGGER raven.history_delete BEFORE DELETE ON raven.history FOR EACH ROW
BEGIN
    IF OLD.at > (UNIX_TIMESTAMP() - 86400) * 1000 THEN
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'history of the last day stays';
    END IF;
END //

DELIMITER ;

-- Roles. Each is made anew, so that what an older version granted is gone; accounts that have one keep it.

CREATE ROLE IF NOT EXISTS raven_clients;
CREATE ROLE IF NOT EXISTS raven_readers;
CREATE ROLE IF NOT EXISTS raven_watchers;
CREATE ROLE IF NOT EXISTS raven_scrubbers;
CREATE ROLE IF NOT EXISTS raven_operators;
REVOKE ALL PRIVILEGES, GRANT OPTION FROM raven_clients, raven_readers, raven_watchers, raven_scrubbers, raven_operators;

-- Client applications: their own rows, their own columns; `id` as MariaDB asks for this right where a client writes
-- INSERT ... RETURNING id. The trigger refuses an id of the client's own.
GRANT INSERT (id, source, profile, priority, options, callback_url, notify_email, keep_hours, reference), SELECT, DELETE
    ON raven_public.tasks TO raven_clients;
GRANT SELECT ON raven_public.jobs TO raven_clients;
GRANT SELECT ON raven_public.notices TO raven_clients;
GRANT SELECT ON raven_public.schema_version TO raven_clients;

-- Besides, or alone, for who may see everybody's tasks.
GRANT SELECT ON raven_public.all_tasks TO raven_readers;
GRANT SELECT ON raven_public.schema_version TO raven_readers;

-- The watcher: of tasks the columns that are Raven's, and its own tables. It never makes nor deletes a task.
GRANT SELECT, UPDATE (status, progress, message, url, metadata, duration, started_at, finished_at)
    ON raven.tasks TO raven_watchers;
GRANT SELECT, INSERT, UPDATE, DELETE ON raven.jobs TO raven_watchers;
GRANT SELECT, INSERT, UPDATE, DELETE ON raven.nodes TO raven_watchers;
GRANT SELECT, INSERT, UPDATE, DELETE ON raven.holds TO raven_watchers;
-- what has happened stays as it was, until it is old: as the cleaner, below
GRANT SELECT, INSERT, DELETE ON raven.history TO raven_watchers;
-- what is told to callback_url: the text stays as it was
GRANT SELECT, INSERT, UPDATE (state, attempts, due_at, tried_at, code, message), DELETE ON raven.notices TO raven_watchers;
-- whether the schema is its own; only the schema's owner migrates it
GRANT SELECT ON raven.schema_version TO raven_watchers;

-- The cleaner looks up whose objects may go, and removes old history.
GRANT SELECT ON raven.tasks TO raven_scrubbers;
GRANT SELECT ON raven.jobs TO raven_scrubbers;
GRANT SELECT (id, at), DELETE ON raven.history TO raven_scrubbers;
GRANT SELECT ON raven.schema_version TO raven_scrubbers;

-- People with `raven submit | list | status | watch | cancel | retry | nodes`: they cancel anybody's task, and say so with
-- their own account's name.
GRANT SELECT ON raven.* TO raven_operators;
GRANT INSERT (id, source, profile, priority, options, callback_url, notify_email, keep_hours, reference, owner), DELETE,
    UPDATE (status, progress, message, finished_at) ON raven.tasks TO raven_operators;
GRANT UPDATE, DELETE ON raven.jobs TO raven_operators;
GRANT INSERT, DELETE ON raven.holds TO raven_operators;
-- `raven retry` is told in the task's story, which stays as it was
GRANT INSERT ON raven.history TO raven_operators;
GRANT UPDATE (state, due_at, until) ON raven.notices TO raven_operators;
GRANT UPDATE (blames, lost), DELETE ON raven.nodes TO raven_operators;
