-- What erasing, retention and the search's own upkeep look for. Written for SQLite
-- and PostgreSQL alike.

-- Erasing deletes by conversation, and the foreign key of a customer that goes looks
-- for their sessions: the indexes so far held the live ones only.
CREATE INDEX sessions_conversation ON sessions (conversation);
CREATE INDEX sessions_customer ON sessions (customer_id);

-- Retention goes by time: numbers are not in its order where the clock was set wrong.
CREATE INDEX audit_at ON audit (at);

-- When a customer was seen last, to the day. Nobody knows for those from before.
ALTER TABLE customers ADD COLUMN seen_at BIGINT NOT NULL DEFAULT 0;
UPDATE customers SET seen_at = created_at;
CREATE INDEX customers_seen ON customers (seen_at, id);

-- Which tokeniser made the search index, and, while another one's is being made, up
-- to which entry it is the new one's.
ALTER TABLE search_state ADD COLUMN tokenizer BIGINT NOT NULL DEFAULT 1;
ALTER TABLE search_state ADD COLUMN redone BIGINT NOT NULL DEFAULT 0;
UPDATE search_state SET tokenizer = 2 WHERE indexed = 0 AND NOT EXISTS (SELECT 1 FROM notes);
