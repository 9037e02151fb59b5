-- The ledger of many processes, in a schema of its own (`checkout`): nobody else reads these tables. Names of people never
-- stand here: shoppers and admissions are keyed hashes. Instants are milliseconds since the epoch;
-- 9223372036854775807 is "never".

-- The one clock that deadlines are compared with, whichever process asks.
CREATE FUNCTION ledger_now() RETURNS bigint LANGUAGE sql VOLATILE
AS $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint $$;

CREATE TABLE stock (
    drop_id text    NOT NULL,
    sku     text    NOT NULL,
    bucket  integer NOT NULL,
    total   bigint  NOT NULL,
    held    bigint  NOT NULL DEFAULT 0,
    sold    bigint  NOT NULL DEFAULT 0,
    PRIMARY KEY (drop_id, sku, bucket),
    -- The last line of defence: whatever the code above it does, a unit is not sold twice.
    CHECK (held >= 0 AND sold >= 0 AND held + sold <= total)
) WITH (fillfactor = 50);

CREATE TABLE orders (
    id             bytea   NOT NULL PRIMARY KEY CHECK (octet_length(id) = 16),
    drop_id        text    NOT NULL,
    shopper        bytea   NOT NULL CHECK (octet_length(shopper) = 16),
    admission      bytea   NOT NULL CHECK (octet_length(admission) = 16),
    client_key     text    NOT NULL,
    request_hash   bytea   NOT NULL CHECK (octet_length(request_hash) = 32),
    state          text    NOT NULL,
    version        bigint  NOT NULL,
    -- What exists in this state only, as versioned JSON; `state` above repeats its tag for the indexes.
    data           text    NOT NULL,
    tries          bigint  NOT NULL,
    due_at         bigint  NOT NULL,
    leased_until   bigint  NOT NULL,
    -- What a durable broker holds: the version that its message was written for, and since when.
    published_version bigint NOT NULL DEFAULT -1,
    published_at      bigint NOT NULL DEFAULT 0,
    flag           text,
    flag_reason    text,
    total          bigint  NOT NULL,
    currency       text    NOT NULL,
    units          bigint  NOT NULL CHECK (units > 0),
    email          text,
    reserved_until bigint  NOT NULL,
    created_at     bigint  NOT NULL,
    changed_at     bigint  NOT NULL,
    -- A client names its own requests; two shoppers may choose the same name.
    UNIQUE (drop_id, shopper, client_key)
);

-- One admission holds one order that is not dead: a replay buys nothing, a declined shopper may try another card.
CREATE UNIQUE INDEX orders_admission ON orders (admission) WHERE state NOT IN ('declined', 'released', 'unwound');
CREATE INDEX orders_state ON orders (state, drop_id, changed_at);
CREATE INDEX orders_due ON orders (due_at) WHERE due_at < 9223372036854775807;
CREATE INDEX orders_reserved ON orders (reserved_until) WHERE state = 'reserved';
CREATE INDEX orders_flag ON orders (flag) WHERE flag IS NOT NULL;

CREATE TABLE order_items (
    order_id bytea   NOT NULL REFERENCES orders (id),
    line     integer NOT NULL,
    sku      text    NOT NULL,
    quantity bigint  NOT NULL CHECK (quantity > 0),
    amount   bigint  NOT NULL,
    PRIMARY KEY (order_id, line)
);

-- Every movement of every unit. The key makes a second giving-back impossible; the trigger makes history final.
CREATE TABLE stock_entry (
    order_id bytea   NOT NULL REFERENCES orders (id),
    kind     text    NOT NULL CHECK (kind IN ('hold', 'void', 'sell', 'unsell')),
    sku      text    NOT NULL,
    bucket   integer NOT NULL,
    quantity bigint  NOT NULL CHECK (quantity > 0),
    at       bigint  NOT NULL,
    PRIMARY KEY (order_id, kind, sku, bucket)
);

CREATE TABLE attempt (
    order_id        bytea  NOT NULL REFERENCES orders (id),
    op              text   NOT NULL,
    n               bigint NOT NULL,
    idempotency_key text   NOT NULL UNIQUE,
    params          bytea  NOT NULL CHECK (octet_length(params) = 32),
    first_sent_at   bigint NOT NULL,
    outcome         text,
    PRIMARY KEY (order_id, op, n)
);

CREATE TABLE payment (
    order_id    bytea  NOT NULL PRIMARY KEY REFERENCES orders (id),
    provider_id text   NOT NULL UNIQUE,
    captured    bigint NOT NULL DEFAULT 0,
    refunded    bigint NOT NULL DEFAULT 0,
    currency    text   NOT NULL,
    at          bigint NOT NULL
);

CREATE TABLE outbox (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel       text   NOT NULL CHECK (channel IN ('workers', 'notices')),
    order_id      bytea  NOT NULL REFERENCES orders (id),
    notice        text,
    version       bigint NOT NULL,
    returned      bigint NOT NULL DEFAULT 0,
    at            bigint NOT NULL,
    delivered_at  bigint,
    -- Which relay has it in hand, and until when nobody else takes it: several relays share one outbox.
    claimed_by    bigint NOT NULL DEFAULT 0,
    claimed_until bigint NOT NULL DEFAULT 0,
    CHECK ((channel = 'notices') = (notice IS NOT NULL))
);

CREATE INDEX outbox_pending ON outbox (channel, id) WHERE delivered_at IS NULL;
-- One message per order is enough: it says "look", not what to see. Delivered ones are deleted, notices are kept.
CREATE UNIQUE INDEX outbox_worker ON outbox (order_id) WHERE channel = 'workers';

-- A number for every process that opens the ledger, to tell relays apart.
CREATE SEQUENCE opener;

CREATE TABLE provider_event (
    event_id text   NOT NULL PRIMARY KEY,
    kind     text   NOT NULL,
    at       bigint NOT NULL
);

CREATE TABLE audit (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    action  text   NOT NULL,
    subject text   NOT NULL,
    by      text   NOT NULL,
    at      bigint NOT NULL
);

CREATE TABLE switch (
    name  text    NOT NULL PRIMARY KEY,
    is_on boolean NOT NULL
);

CREATE FUNCTION is_append_only() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$;

CREATE TRIGGER stock_entry_is_final BEFORE UPDATE OR DELETE OR TRUNCATE ON stock_entry
FOR EACH STATEMENT EXECUTE FUNCTION is_append_only();
CREATE TRIGGER audit_is_final BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION is_append_only();
