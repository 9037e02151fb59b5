//! The JSON about stock that operators change.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Units;

/// `POST drops/{drop}/stock`: either `add` or `withdraw`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct StockRequest {
    /// Of which SKU.
    pub sku: String,
    /// So many units more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add: Option<u32>,
    /// So many free units out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdraw: Option<u32>,
}

/// A drop's stock after a change.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct StockStatus {
    /// The drop.
    pub drop: String,
    /// Units by SKU.
    pub stock: BTreeMap<String, Units>,
}
