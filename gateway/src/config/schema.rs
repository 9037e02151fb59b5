//! The one description of `config.toml`: every section and key with its kind, default, example
//! and explanation. Checking, suggestions, `config example` and `config schema` all read it.

mod drop;
mod plumbing;
mod serving;

/// A table of the file and the keys it may hold.
#[derive(Debug)]
pub(crate) struct Section {
    /// As it is written in the file: `[server]`, `[[drop]]`.
    pub header: &'static str,
    /// What it is for, in plain words.
    pub doc: &'static str,
    /// Its keys, in the order of the example.
    pub keys: &'static [Key],
    /// For tables that repeat: the key whose value tells them apart.
    pub identity: Option<&'static str>,
}

/// One key of a section.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its name.
    pub name: &'static str,
    /// What may stand there.
    pub kind: Kind,
    /// What happens where it is left out.
    pub presence: Presence,
    /// How the example shows it.
    pub shown: Shown,
    /// What it means, in plain words.
    pub doc: &'static str,
}

/// What happens where a key is left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Presence {
    /// That is a mistake.
    Required,
    /// Then it is off, or follows from other keys as its explanation says.
    Optional,
    /// Then this value holds, written as TOML.
    Default(&'static str),
}

/// How the example shows a key, written as TOML.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shown {
    /// In force, with this value.
    Set(&'static str),
    /// As a comment, with this value.
    Comment(&'static str),
    /// As a comment, with the default.
    Default,
}

/// What may stand at a key.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Text for people, of at most so many characters on one line.
    Text(usize),
    /// A drop's id.
    DropId,
    /// A SKU.
    Sku,
    /// A currency code.
    Currency,
    /// The name of an environment variable that holds a secret.
    SecretVariable,
    /// The path of a file that holds a secret.
    SecretFile,
    /// A path in the file system.
    File,
    /// A host name, perhaps with a port.
    Host,
    /// A whole number from the first to the second.
    Count(u64, u64),
    /// One of these numbers.
    OneNumberOf(&'static [u64]),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// True or false.
    Flag,
    /// A length of time, from the first to the second, in milliseconds.
    Duration(u64, u64),
    /// A rate.
    Rate,
    /// An instant.
    Moment,
    /// An address and a port to listen on.
    Address,
    /// An http or https address without path.
    Url,
    /// An http or https address with or without path.
    Endpoint,
    /// A network in CIDR notation, or one address.
    Network,
    /// A path of the shop, perhaps with a star at the end.
    PathPattern,
    /// Several of these.
    List(&'static Kind),
    /// A table.
    Table(&'static Section),
    /// A table that may come several times.
    Tables(&'static Section),
}

/// The whole file.
pub(crate) static ROOT: Section = Section {
    header: "the file",
    doc: "",
    keys: &[
        Key::table("server", Kind::Table(&serving::SERVER)),
        Key::table("admin", Kind::Table(&serving::ADMIN)),
        Key::table("upstream", Kind::Table(&serving::UPSTREAM)),
        Key::table("backend", Kind::Table(&plumbing::BACKEND)),
        Key::table("rate_limit", Kind::Table(&plumbing::RATE_LIMIT)),
        Key::table("payment", Kind::Table(&plumbing::PAYMENT)),
        Key::table("webhooks", Kind::Table(&plumbing::WEBHOOKS)),
        Key::table("checkout", Kind::Table(&plumbing::CHECKOUT)),
        Key::table("log", Kind::Table(&plumbing::LOG)),
        Key::optional("drop", Kind::Tables(&drop::DROP), Shown::Default, ""),
    ],
    identity: None,
};

impl Key {
    const fn required(name: &'static str, kind: Kind, example: &'static str, doc: &'static str) -> Self {
        Self {
            name,
            kind,
            presence: Presence::Required,
            shown: Shown::Set(example),
            doc,
        }
    }

    const fn optional(name: &'static str, kind: Kind, shown: Shown, doc: &'static str) -> Self {
        Self {
            name,
            kind,
            presence: Presence::Optional,
            shown,
            doc,
        }
    }

    const fn preset(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Self {
        Self {
            name,
            kind,
            presence: Presence::Default(default),
            shown: Shown::Default,
            doc,
        }
    }

    /// A section that is there, with its defaults, even where the file does not mention it.
    const fn table(name: &'static str, kind: Kind) -> Self {
        Self::preset(name, kind, "{}", "")
    }

    /// Shows the default in force instead of as a comment.
    const fn in_force(self) -> Self {
        match self.presence {
            Presence::Default(default) => Self {
                shown: Shown::Set(default),
                ..self
            },
            Presence::Required | Presence::Optional => self,
        }
    }

    const fn shown_as(self, example: &'static str) -> Self {
        Self {
            shown: Shown::Set(example),
            ..self
        }
    }
}

impl Section {
    /// Finds a key by its name.
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The known key nearest to a mistyped one.
    pub(crate) fn nearest_key(&self, written: &str) -> Option<&'static str> {
        super::nearest::nearest(written, self.keys.iter().map(|key| key.name))
    }

    /// Whether `name` asks for a secret in plain text: the section has `name_env` instead.
    pub(crate) fn is_plain_secret(&self, name: &str) -> bool {
        let variable = |key: &Key| key.name.strip_suffix("_env") == Some(name);
        self.keys
            .iter()
            .any(|key| matches!(key.kind, Kind::SecretVariable) && variable(key))
    }
}

/// The header of the section that knows a key, where only one does: a key that slipped under
/// the wrong header is the most common mistake in this format.
pub(crate) fn home_of(name: &str) -> Option<&'static str> {
    fn collect(section: &'static Section, name: &str, homes: &mut Vec<&'static str>) {
        for key in section.keys {
            if key.name == name && section.header.starts_with('[') {
                homes.push(section.header);
            }
            if let Kind::Table(inner) | Kind::Tables(inner) = key.kind {
                collect(inner, name, homes);
            }
        }
    }
    let mut homes = Vec::new();
    collect(&ROOT, name, &mut homes);
    if let [home] = homes.as_slice() {
        Some(home)
    } else {
        None
    }
}
