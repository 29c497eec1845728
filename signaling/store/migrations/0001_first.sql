-- The first schema. Times are Unix milliseconds, ids are text. Written for SQLite
-- and PostgreSQL alike; what only one of them understands is in sqlite.go.
-- Released migrations are never edited: add the next number.

CREATE TABLE customers (
    id          TEXT PRIMARY KEY,
    thumbprint  TEXT NOT NULL UNIQUE,
    kind        TEXT NOT NULL,
    pub         BLOB NOT NULL,
    generation  BIGINT NOT NULL DEFAULT 1,
    created_at  BIGINT NOT NULL
);

CREATE TABLE agents (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    role        TEXT NOT NULL CHECK (role IN ('admin', 'lead', 'agent')),
    generation  BIGINT NOT NULL DEFAULT 1,
    created_at  BIGINT NOT NULL,
    revoked_at  BIGINT
);

CREATE TABLE devices (
    id          TEXT PRIMARY KEY,
    agent_id    TEXT NOT NULL REFERENCES agents (id),
    pub         BLOB NOT NULL UNIQUE,
    label       TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    last_seen   BIGINT NOT NULL,
    revoked_at  BIGINT
);
CREATE INDEX devices_agent ON devices (agent_id);

-- Only the SHA-256 of an invite's token is kept.
CREATE TABLE invites (
    token_hash  BLOB PRIMARY KEY,
    name        TEXT NOT NULL,
    role        TEXT NOT NULL CHECK (role IN ('admin', 'lead', 'agent')),
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    used_at     BIGINT,
    used_by     TEXT REFERENCES agents (id)
);

CREATE TABLE conversations (
    id            TEXT PRIMARY KEY,
    customer_id   TEXT NOT NULL REFERENCES customers (id),
    state         TEXT NOT NULL CHECK (state IN ('waiting', 'claimed', 'closed')),
    missed        BIGINT NOT NULL DEFAULT 0,
    created_at    BIGINT NOT NULL,
    waiting_since BIGINT NOT NULL,
    closed_at     BIGINT,
    last_at       BIGINT NOT NULL,
    last_seq      BIGINT NOT NULL DEFAULT 0,
    claimed_by    TEXT REFERENCES agents (id),
    claimed_at    BIGINT,
    lapses_at     BIGINT,
    CHECK ((state = 'claimed') = (claimed_by IS NOT NULL)),
    CHECK ((state = 'closed') = (closed_at IS NOT NULL))
);
CREATE UNIQUE INDEX conversations_one_open ON conversations (customer_id) WHERE state <> 'closed';
CREATE INDEX conversations_customer ON conversations (customer_id, closed_at);
CREATE INDEX conversations_waiting ON conversations (waiting_since, id) WHERE state = 'waiting';
CREATE INDEX conversations_claimed ON conversations (claimed_by, lapses_at) WHERE state = 'claimed';
CREATE INDEX conversations_recent ON conversations (last_at);

CREATE TABLE messages (
    conversation TEXT NOT NULL REFERENCES conversations (id),
    seq          BIGINT NOT NULL,
    id           TEXT NOT NULL,
    sender_kind  TEXT NOT NULL CHECK (sender_kind IN ('customer', 'agent', 'system')),
    sender_id    TEXT NOT NULL,
    sender_name  TEXT NOT NULL,
    text         TEXT NOT NULL,
    at           BIGINT NOT NULL,
    PRIMARY KEY (conversation, seq),
    UNIQUE (conversation, sender_kind, sender_id, id)
);

CREATE TABLE marks (
    conversation TEXT NOT NULL REFERENCES conversations (id),
    side         TEXT NOT NULL CHECK (side IN ('customer', 'agent')),
    received     BIGINT NOT NULL,
    read         BIGINT NOT NULL,
    PRIMARY KEY (conversation, side)
);

CREATE TABLE sessions (
    id              TEXT PRIMARY KEY,
    conversation    TEXT NOT NULL REFERENCES conversations (id),
    customer_id     TEXT NOT NULL REFERENCES customers (id),
    agent_id        TEXT NOT NULL REFERENCES agents (id),
    customer_device TEXT NOT NULL DEFAULT '',
    agent_device    TEXT NOT NULL DEFAULT '',
    picture         BIGINT NOT NULL DEFAULT 0,
    requested_by    TEXT NOT NULL CHECK (requested_by IN ('customer', 'agent')),
    state           TEXT NOT NULL CHECK (state IN ('requested', 'connecting', 'connected', 'reconnecting', 'ended')),
    path            TEXT NOT NULL DEFAULT '',
    reason          TEXT NOT NULL DEFAULT '',
    created_at      BIGINT NOT NULL,
    ended_at        BIGINT,
    relay_user      TEXT,
    relay_secret    TEXT,
    CHECK ((state = 'ended') = (ended_at IS NOT NULL))
);
CREATE UNIQUE INDEX sessions_one_live ON sessions (conversation) WHERE state <> 'ended';
CREATE UNIQUE INDEX sessions_relay ON sessions (relay_user) WHERE relay_user IS NOT NULL;

CREATE TABLE audit (
    id           BIGINT NOT NULL PRIMARY KEY,
    at           BIGINT NOT NULL,
    conversation TEXT NOT NULL,
    kind         TEXT NOT NULL,
    actor_kind   TEXT NOT NULL,
    actor_id     TEXT NOT NULL,
    body         TEXT NOT NULL
);
CREATE INDEX audit_conversation ON audit (conversation, id);

CREATE TABLE settings (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
