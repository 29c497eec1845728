-- Notes, tags, canned replies, the search, and erasure. Written for SQLite and
-- PostgreSQL alike; the search index itself and the audit log's guard are in
-- sqlite_search.go.

-- entry is the note's place in the search index.
CREATE TABLE notes (
    id           TEXT PRIMARY KEY,
    conversation TEXT NOT NULL REFERENCES conversations (id),
    agent_id     TEXT NOT NULL REFERENCES agents (id),
    agent_name   TEXT NOT NULL,
    text         TEXT NOT NULL,
    at           BIGINT NOT NULL,
    entry        BIGINT UNIQUE
);
CREATE INDEX notes_conversation ON notes (conversation, at);

CREATE TABLE tags (
    conversation TEXT NOT NULL REFERENCES conversations (id),
    tag          TEXT NOT NULL,
    agent_id     TEXT NOT NULL,
    at           BIGINT NOT NULL,
    PRIMARY KEY (conversation, tag)
);
CREATE INDEX tags_tag ON tags (tag);

CREATE TABLE canned (
    short    TEXT PRIMARY KEY,
    text     TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    at       BIGINT NOT NULL
);

-- How far the messages are in the search index, as pos. pos is used again after the
-- newest messages were erased, so that each erasure is counted: who indexes what it
-- read before one starts anew. One row.
CREATE TABLE search_state (
    id       BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    indexed  BIGINT NOT NULL,
    erasures BIGINT NOT NULL
);
INSERT INTO search_state (id, indexed, erasures) VALUES (1, 0, 0);

-- gone counts up as rows are deleted; done_at is when no file held a copy any more.
-- listed: on the erase list, by somebody's wish, and not by retention.
CREATE TABLE erasures (
    conversation TEXT PRIMARY KEY,
    listed       BIGINT NOT NULL,
    begun_at     BIGINT NOT NULL,
    gone         BIGINT UNIQUE,
    done_at      BIGINT
);

-- Retention writes here, inside its own transaction, up to which time the audit
-- log's guard lets entries be deleted; the table is empty otherwise.
CREATE TABLE audit_horizon (
    id     BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    before BIGINT NOT NULL
);
