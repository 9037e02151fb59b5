//! Servers that forget, freeze, die and come back older.

use super::*;
