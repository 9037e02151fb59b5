-- Where the telling of each notice to the merchant's system stands. It is the notice's own business and not a table beside
-- it: so it comes to be in the transaction of what it tells, whoever writes that.
-- none: not to be told (messages to workers, and what was written before this table knew). open: to be told, or told again.
ALTER TABLE outbox ADD COLUMN hook TEXT NOT NULL DEFAULT 'none'
    CHECK (hook IN ('none', 'open', 'taken', 'given_up', 'skipped'));
ALTER TABLE outbox ADD COLUMN hook_tries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN hook_due_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN hook_leased_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN hook_outcome TEXT;

-- An order's notices, to see whether an earlier one is open; and the open and given-up ones of all.
CREATE INDEX outbox_notices ON outbox (order_id, version) WHERE notice IS NOT NULL;
CREATE INDEX outbox_hook_due ON outbox (hook_due_at, id) WHERE notice IS NOT NULL AND hook = 'open';
CREATE INDEX outbox_hook_given_up ON outbox (id) WHERE notice IS NOT NULL AND hook = 'given_up';
