-- The ledger of one process. Names of people never stand here: shoppers and admissions are keyed hashes.
-- Instants are milliseconds since the epoch; 9223372036854775807 is "never".

CREATE TABLE stock (
    drop_id TEXT NOT NULL,
    sku     TEXT NOT NULL,
    bucket  INTEGER NOT NULL,
    total   INTEGER NOT NULL,
    held    INTEGER NOT NULL DEFAULT 0,
    sold    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (drop_id, sku, bucket),
    -- The last line of defence: whatever the code above it does, a unit is not sold twice.
    CHECK (held >= 0 AND sold >= 0 AND held + sold <= total)
) STRICT, WITHOUT ROWID;

CREATE TABLE orders (
    id             BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    drop_id        TEXT NOT NULL,
    shopper        BLOB NOT NULL CHECK (length(shopper) = 16),
    admission      BLOB NOT NULL CHECK (length(admission) = 16),
    client_key     TEXT NOT NULL,
    request_hash   BLOB NOT NULL CHECK (length(request_hash) = 32),
    state          TEXT NOT NULL,
    version        INTEGER NOT NULL,
    -- What exists in this state only, as versioned JSON; `state` above repeats its tag for the indexes.
    data           TEXT NOT NULL,
    tries          INTEGER NOT NULL,
    due_at         INTEGER NOT NULL,
    leased_until   INTEGER NOT NULL,
    flag           TEXT,
    flag_reason    TEXT,
    total          INTEGER NOT NULL,
    currency       TEXT NOT NULL,
    units          INTEGER NOT NULL CHECK (units > 0),
    email          TEXT,
    reserved_until INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    changed_at     INTEGER NOT NULL,
    -- A client names its own requests; two shoppers may choose the same name.
    UNIQUE (drop_id, shopper, client_key)
) STRICT, WITHOUT ROWID;

-- One admission holds one order that is not dead: a replay buys nothing, a declined shopper may try another card.
CREATE UNIQUE INDEX orders_admission ON orders (admission) WHERE state NOT IN ('declined', 'released', 'unwound');
CREATE INDEX orders_state ON orders (state, drop_id, changed_at);
CREATE INDEX orders_due ON orders (due_at) WHERE due_at < 9223372036854775807;
CREATE INDEX orders_reserved ON orders (reserved_until) WHERE state = 'reserved';
CREATE INDEX orders_flag ON orders (flag) WHERE flag IS NOT NULL;

CREATE TABLE order_items (
    order_id BLOB NOT NULL REFERENCES orders (id),
    line     INTEGER NOT NULL,
    sku      TEXT NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    amount   INTEGER NOT NULL,
    PRIMARY KEY (order_id, line)
) STRICT, WITHOUT ROWID;

-- Every movement of every unit. The key makes a second giving-back impossible; the triggers make history final.
CREATE TABLE stock_entry (
    order_id BLOB NOT NULL REFERENCES orders (id),
    kind     TEXT NOT NULL CHECK (kind IN ('hold', 'void', 'sell', 'unsell')),
    sku      TEXT NOT NULL,
    bucket   INTEGER NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    at       INTEGER NOT NULL,
    PRIMARY KEY (order_id, kind, sku, bucket)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER stock_entry_is_not_updated BEFORE UPDATE ON stock_entry
BEGIN SELECT RAISE(ABORT, 'stock_entry is append-only'); END;
CREATE TRIGGER stock_entry_is_not_deleted BEFORE DELETE ON stock_entry
BEGIN SELECT RAISE(ABORT, 'stock_entry is append-only'); END;

CREATE TABLE attempt (
    order_id        BLOB NOT NULL REFERENCES orders (id),
    op              TEXT NOT NULL,
    n               INTEGER NOT NULL,
    idempotency_key TEXT NOT NULL UNIQUE,
    params          BLOB NOT NULL CHECK (length(params) = 32),
    first_sent_at   INTEGER NOT NULL,
    outcome         TEXT,
    PRIMARY KEY (order_id, op, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE payment (
    order_id    BLOB NOT NULL PRIMARY KEY REFERENCES orders (id),
    provider_id TEXT NOT NULL UNIQUE,
    captured    INTEGER NOT NULL DEFAULT 0,
    refunded    INTEGER NOT NULL DEFAULT 0,
    currency    TEXT NOT NULL,
    at          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    channel      TEXT NOT NULL CHECK (channel IN ('workers', 'notices')),
    order_id     BLOB NOT NULL REFERENCES orders (id),
    notice       TEXT,
    version      INTEGER NOT NULL,
    returned     INTEGER NOT NULL DEFAULT 0,
    at           INTEGER NOT NULL,
    delivered_at INTEGER,
    CHECK ((channel = 'notices') = (notice IS NOT NULL))
) STRICT;

CREATE INDEX outbox_pending ON outbox (channel, id) WHERE delivered_at IS NULL;
-- One message per order is enough: it says "look", not what to see. Delivered ones are deleted, notices are kept.
CREATE UNIQUE INDEX outbox_worker ON outbox (order_id) WHERE channel = 'workers';

CREATE TABLE provider_event (
    event_id TEXT NOT NULL PRIMARY KEY,
    kind     TEXT NOT NULL,
    at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    by      TEXT NOT NULL,
    at      INTEGER NOT NULL
) STRICT;

CREATE TRIGGER audit_is_not_updated BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;

CREATE TABLE switch (
    name  TEXT NOT NULL PRIMARY KEY,
    is_on INTEGER NOT NULL CHECK (is_on IN (0, 1))
) STRICT, WITHOUT ROWID;
