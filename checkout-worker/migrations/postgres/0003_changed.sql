-- What operators changed of drops' settings while they ran, and what was configured then.
CREATE TABLE changed (
    drop_id text NOT NULL,
    setting text NOT NULL,
    value   text NOT NULL,
    "over"  text NOT NULL,
    PRIMARY KEY (drop_id, setting)
);
