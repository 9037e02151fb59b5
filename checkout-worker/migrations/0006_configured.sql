-- How many units of each SKU were configured when the stock was last brought to the configuration: what operators add or
-- withdraw afterwards stands until something else is configured.
CREATE TABLE configured (
    drop_id TEXT NOT NULL,
    sku     TEXT NOT NULL,
    units   INTEGER NOT NULL,
    PRIMARY KEY (drop_id, sku)
) STRICT, WITHOUT ROWID;
