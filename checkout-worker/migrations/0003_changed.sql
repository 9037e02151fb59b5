-- What operators changed of drops' settings while they ran, and what was configured then.
CREATE TABLE changed (
    drop_id TEXT NOT NULL,
    setting TEXT NOT NULL,
    value   TEXT NOT NULL,
    over    TEXT NOT NULL,
    PRIMARY KEY (drop_id, setting)
) STRICT, WITHOUT ROWID;
