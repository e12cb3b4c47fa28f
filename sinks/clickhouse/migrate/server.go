package migrate

import "strings"

// serverSQL gives each part of usher a role of its own. The embedded engine has no users, so this is
// for servers only; {db} is the database.
const serverSQL = `-- Roles for a ClickHouse server. Run as an administrator, after the schema.
-- Create users yourself, with passwords that you do not write down here, then:
--   GRANT usher_sink TO <user of usher run>; GRANT usher_reader TO <user of Grafana>;

CREATE ROLE IF NOT EXISTS usher_admin;
GRANT CREATE DATABASE, SHOW, SELECT, INSERT, ALTER, CREATE TABLE, CREATE VIEW, DROP VIEW, TRUNCATE ON {db}.* TO usher_admin;
GRANT SELECT ON system.columns TO usher_admin;
GRANT SELECT ON system.tables TO usher_admin;

-- The sink inserts and reads its own rows back; it changes and deletes nothing but its cache of daily
-- rows.
CREATE ROLE IF NOT EXISTS usher_sink;
GRANT SELECT, INSERT ON {db}.* TO usher_sink;
GRANT ALTER DELETE ON {db}.kpi_rollup TO usher_sink;

-- Boards and analysts read; the text of messages is a right of its own.
CREATE ROLE IF NOT EXISTS usher_reader;
GRANT SELECT ON {db}.* TO usher_reader;
REVOKE SELECT(text) ON {db}.events FROM usher_reader;
CREATE ROLE IF NOT EXISTS usher_text_reader;
GRANT SELECT(text) ON {db}.events TO usher_text_reader;

-- A query of a board must not take the server down.
CREATE SETTINGS PROFILE IF NOT EXISTS usher_reader_limits
    SETTINGS max_execution_time = 30, max_memory_usage = 8000000000, readonly = 2 TO usher_reader;
`

// PrintServer returns the statements that only a server knows: roles, grants, limits.
func PrintServer(database string) string { return strings.ReplaceAll(serverSQL, "{db}", database) }
