//! Writes the commented example out of the schema. It is the merchant's documentation.

use super::print::is_part;
use super::schema::{Key, Kind, Presence, ROOT, Section, Shown};

const INTRODUCTION: &str = "\
# Doorline's configuration.
#
# Every key is here, with its meaning. A line that begins with # shows a default or something
# optional; take away the # to use it. `doorline check` finds every mistake before shoppers do,
# `doorline config print` shows what is in force.
#
# Times are dates with a zone or an offset. Lengths of time are written like \"90s\", \"10m\", \"1h30m\".
# Secrets never stand in this file: it names the environment variable or the file that holds them.
#
# Any key can be overridden from outside, in this order of precedence:
#   a flag        doorline serve --set server.listen=0.0.0.0:8080
#   a variable    DOORLINE__SERVER__LISTEN=0.0.0.0:8080
#                 DOORLINE__DROP__AURORA__TOTAL_ACTIVE_USERS=800
#   this file
";

/// Writes the example.
pub fn example() -> String {
    let mut out = INTRODUCTION.to_owned();
    for key in ROOT.keys {
        write_part(key, &mut out);
    }
    out
}

fn write_part(key: &Key, out: &mut String) {
    let (Kind::Table(section) | Kind::Tables(section)) = &key.kind else {
        return;
    };
    out.push('\n');
    write_comment(section.doc, out);
    out.push_str(section.header);
    out.push('\n');
    write_keys(section, out);
}

fn write_keys(section: &Section, out: &mut String) {
    for (index, key) in section.keys.iter().filter(|key| !is_part(key)).enumerate() {
        if index > 0 && !key.doc.is_empty() {
            out.push('\n');
        }
        write_comment(key.doc, out);
        let (mark, literal) = match (key.shown, key.presence) {
            (Shown::Set(literal), _) => ("", literal),
            (Shown::Comment(literal), _) | (Shown::Default, Presence::Default(literal)) => ("# ", literal),
            (Shown::Default, Presence::Required | Presence::Optional) => continue,
        };
        for piece in [mark, key.name, " = ", literal, "\n"] {
            out.push_str(piece);
        }
    }
    section
        .keys
        .iter()
        .filter(|key| is_part(key))
        .for_each(|key| write_part(key, out));
}

fn write_comment(text: &str, out: &mut String) {
    for line in text.lines() {
        out.push_str("# ");
        out.push_str(line);
        out.push('\n');
    }
}
