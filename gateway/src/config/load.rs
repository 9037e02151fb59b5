//! Reads the file, lays the overrides over it, checks everything, and hands out either the
//! effective configuration or the whole list of mistakes.

use std::path::{Path, PathBuf};

use super::effective::Config;
use super::fields::Fields;
use super::keys::{self, Keys};
use super::overlay::{self, Override};
use super::report::{Place, Report, Source};
use super::schema::ROOT;
use super::secret::Environment;
use super::{build, check, cross, print, tree};

/// The file that is read where none is named, if it is there.
pub const DEFAULT_FILE: &str = "config.toml";

/// Biggest file that is read, in bytes. A thousand drops fit well.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A configuration that was found good.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The effective values.
    pub config: Config,
    /// What is surely not meant, though not wrong.
    pub warnings: Report,
    /// The file it came from; nothing where only defaults and overrides hold.
    pub file: Option<PathBuf>,
    fields: Fields,
}

/// There is no usable configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is too big to be meant.
    #[error("{} is larger than {FILE_BYTES_MAX} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It was read, and has these mistakes.
    #[error("{0}")]
    Invalid(Report),
}

/// Reads and checks a configuration. `file` is what the user named; without it,
/// [`DEFAULT_FILE`] is read if it is there. `flags` win over the environment, the environment
/// over the file, the file over the defaults.
pub fn load(file: Option<&Path>, flags: &[Override], environment: &Environment) -> Result<Loaded, LoadError> {
    let path = file.unwrap_or(Path::new(DEFAULT_FILE));
    let unreadable = |source| LoadError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let bytes = match std::fs::metadata(path) {
        Ok(meta) if meta.len() > FILE_BYTES_MAX => {
            return Err(LoadError::TooLarge {
                path: path.to_owned(),
            });
        }
        Ok(_) => Some(std::fs::read(path).map_err(unreadable)?),
        Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(unreadable(error)),
    };
    let name = path.display().to_string();
    let text = decoded(&name, bytes.as_deref().unwrap_or_default()).map_err(LoadError::Invalid)?;
    let mut loaded = parse(&name, text, flags, environment).map_err(LoadError::Invalid)?;
    loaded.file = bytes.map(|_| path.to_owned());
    Ok(loaded)
}

/// A byte that is no UTF-8 is a mistake with a place, like any other.
fn decoded<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, Report> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let text = String::from_utf8_lossy(bytes).into_owned();
        let mut report = Report::new(Source::new(name, text));
        report.mistake(
            &Place::File(at, at + 1),
            "this is not UTF-8 text: save the file as UTF-8",
        );
        report
    })
}

/// Checks the text of a configuration file that is called `name`.
pub fn parse(
    name: &str,
    text: &str,
    flags: &[Override],
    environment: &Environment,
) -> Result<Loaded, Report> {
    let mut report = Report::new(Source::new(name, text.to_owned()));
    let (mut table, syntax) = tree::parse(text);
    let overrides = [Override::from_environment(environment), flags.to_vec()].concat();
    overlay::apply(&mut table, &overrides, &mut report);
    let mut fields = check::table(&ROOT, &table, &Place::Default, &mut report);
    cross::derive(&mut fields);
    cross::check(&fields, &mut report);
    report.add_syntax(syntax);
    let report = report.sorted();
    if report.mistakes() > 0 {
        return Err(report);
    }
    Ok(Loaded {
        config: build::build(&fields),
        warnings: report,
        file: None,
        fields,
    })
}

impl Loaded {
    /// Every key by its full name.
    pub fn keys(&self) -> Keys {
        keys::of(&self.fields)
    }

    /// The effective configuration as TOML, every key with its value. Secrets are not in it:
    /// it says where each one is looked for, and whether it is there.
    pub fn to_toml(&self, environment: &Environment) -> String {
        print::print(&self.fields, environment)
    }
}
