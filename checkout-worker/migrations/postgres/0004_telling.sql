-- Where the telling of each notice to the merchant's system stands. It is the notice's own business and not a table beside
-- it: so it comes to be in the transaction of what it tells, whoever writes that.
-- none: not to be told (what was written before this table knew). open: to be told, or told again.
-- First a default for the rows that are there, which costs no rewriting; then the one for new rows, so that notices of a
-- process that was started before this migration are told as well. A message to workers has no notice: nobody looks.
ALTER TABLE outbox
    ADD COLUMN hook text NOT NULL DEFAULT 'none' CHECK (hook IN ('none', 'open', 'taken', 'given_up', 'skipped')),
    ADD COLUMN hook_tries bigint NOT NULL DEFAULT 0,
    ADD COLUMN hook_due_at bigint NOT NULL DEFAULT 0,
    ADD COLUMN hook_leased_until bigint NOT NULL DEFAULT 0,
    ADD COLUMN hook_outcome text;
ALTER TABLE outbox
    ALTER COLUMN hook SET DEFAULT 'open',
    ALTER COLUMN hook_due_at SET DEFAULT ledger_now();

-- An order's notices, to see whether an earlier one is open; and the open and given-up ones of all.
CREATE INDEX outbox_notices ON outbox (order_id, version) WHERE notice IS NOT NULL;
CREATE INDEX outbox_hook_due ON outbox (hook_due_at, id) WHERE notice IS NOT NULL AND hook = 'open';
CREATE INDEX outbox_hook_given_up ON outbox (id) WHERE notice IS NOT NULL AND hook = 'given_up';
