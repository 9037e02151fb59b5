-- The space that idempotency keys are drawn from: one row. A restored ledger moves to the next one.
CREATE TABLE key_space (
    the_one boolean NOT NULL PRIMARY KEY DEFAULT TRUE CHECK (the_one),
    space   bigint  NOT NULL CHECK (space > 0)
);

INSERT INTO key_space (space) VALUES (1);
