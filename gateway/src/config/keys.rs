//! Every key of a configuration by its full name, to see what differs between two of them.

use std::collections::BTreeMap;

use super::fields::Fields;
use super::value::Value;

/// Full names and values as TOML, such as `drop.aurora.title` and `"Aurora"`. Secrets are not among them: of each it says
/// where it is looked for.
pub type Keys = BTreeMap<String, String>;

pub(super) fn of(root: &Fields) -> Keys {
    let mut keys = Keys::new();
    collect(root, "", &mut keys);
    keys
}

fn collect(fields: &Fields, prefix: &str, keys: &mut Keys) {
    for (name, value) in fields.values() {
        let name = format!("{prefix}{name}");
        match value {
            Value::Table(inner) => collect(inner, &format!("{name}."), keys),
            Value::Tables(all) => {
                for one in all {
                    // Drops and items are known by their names, wherever they stand in the file.
                    let id: Option<String> = one.get("id").or_else(|| one.get("sku"));
                    collect(one, &format!("{name}.{}.", id.unwrap_or_default()), keys);
                }
            }
            Value::Text(_)
            | Value::Count(_)
            | Value::Flag(_)
            | Value::Duration(_)
            | Value::Rate(_)
            | Value::Moment(_)
            | Value::Address(_)
            | Value::Url(_)
            | Value::Network(_)
            | Value::Pattern(_)
            | Value::List(_) => {
                keys.insert(name, value.to_toml());
            }
        }
    }
}
