//! Loads the configuration of a service: values by group and name from files, environment and code.
//!
//! Loading only parses text and knows no option, so the sources may be added in any order; their
//! precedence is fixed ([`Config`] lists it). Invariant: the loader reads no source that the caller
//! does not add, not even the environment. Not here: what the values mean (`resolve`).

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use leveret_engine::EngineConfig;

use crate::config::driver_config::DriverConfig;
use crate::config::options::notifications::NotificationConfig;
use crate::config::registry::aliases::{normalize_group, normalize_variable_group};
use crate::config::registry::groups::rows;
use crate::config::resolve::{Ignored, Setting, resolve};
use crate::config::sources::ini::{self, Assignment, SyntaxError};
use crate::config::sources::source::{self, Entry, Rank, Source, invalid};
use crate::config::sources::toml;
use crate::error::Error;

/// The prefix of environment variables, as in oslo.config.
const VARIABLE_PREFIX: &str = "OS_";

/// Options by oslo's groups and names, from files, environment and code.
///
/// The precedence of sources, highest first, whatever the order of the calls:
///
/// 1. the query of the transport URL (for options of the driver),
/// 2. [`set`](Self::set),
/// 3. [`environment`](Self::environment),
/// 4. files, later ones first,
/// 5. [`set_default`](Self::set_default),
/// 6. the defaults, listed in [`guide::configuration`](crate::guide::configuration).
///
/// ```
/// use leveret::Config;
///
/// # fn main() -> Result<(), leveret::Error> {
/// let config = Config::new()
///     .set_default("DEFAULT", "control_exchange", "nova")
///     .ini_str("[oslo_messaging_rabbit]\namqp_durable_queues = true\n")?
///     .set("DEFAULT", "transport_url", "rabbit://me:s3cret@h1/?heartbeat_timeout_threshold=5");
/// assert!(config.driver_config()?.entities.durable);
/// for setting in config.effective()? {
///     println!("{setting}"); // DEFAULT.control_exchange = nova  (the program's default)
/// }
/// # Ok(()) }
/// ```
///
/// Values may refer to others, `$name` or `${group.name}`, as in oslo's files; `$$` writes a dollar
/// sign. Deprecated names are accepted with a [warning](Self::warnings). `Debug` shows no value.
#[derive(Clone, Default)]
#[must_use]
pub struct Config {
    entries: Vec<Entry>,
    files: usize,
}

impl Config {
    /// Creates a configuration with all options at their defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds oslo's INI file at `path`, which overrides the files before it. At most 4 MiB of UTF-8.
    ///
    /// # Errors
    /// `InvalidOptions` for a file that cannot be read, naming it, or that is no INI file, naming
    /// the line. Options and values are checked by the methods that return them.
    pub fn ini_file(self, path: impl AsRef<Path>) -> Result<Self, Error> {
        self.file(path.as_ref(), ini::parse)
    }

    /// Adds several INI files, each overriding those before it, as several `--config-file`
    /// arguments do.
    ///
    /// # Errors
    /// As [`ini_file`](Self::ini_file).
    pub fn ini_files<P: AsRef<Path>>(
        self,
        paths: impl IntoIterator<Item = P>,
    ) -> Result<Self, Error> {
        paths.into_iter().try_fold(self, |config, path| config.ini_file(path))
    }

    /// Adds text in the format of an INI file.
    ///
    /// # Errors
    /// As [`ini_file`](Self::ini_file).
    pub fn ini_str(self, text: &str) -> Result<Self, Error> {
        self.text(&source::no_path(), text, ini::parse)
    }

    /// Adds the TOML file at `path`: tables are groups, and keys before the first table belong to
    /// `DEFAULT`. It overrides the files before it, INI or TOML.
    ///
    /// # Errors
    /// As [`ini_file`](Self::ini_file).
    pub fn toml_file(self, path: impl AsRef<Path>) -> Result<Self, Error> {
        self.file(path.as_ref(), toml::parse)
    }

    /// Adds text in the format of a TOML file.
    ///
    /// ```
    /// # fn main() -> Result<(), leveret::Error> {
    /// let config = leveret::Config::new().toml_str("[leveret]\ncores = '0,2'\n")?;
    /// assert_eq!(config.engine_config()?.cores, leveret::engine::Cores::Pinned(vec![0, 2]));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`ini_file`](Self::ini_file).
    pub fn toml_str(self, text: &str) -> Result<Self, Error> {
        self.text(&source::no_path(), text, toml::parse)
    }

    /// Adds the current environment variables of this process with names of the form
    /// `OS_GROUP__OPTION`, as oslo.config does: `OS_OSLO_MESSAGING_RABBIT__SSL`.
    ///
    /// # Errors
    /// `InvalidOptions` for such a variable of a known group that is not Unicode.
    pub fn environment(self) -> Result<Self, Error> {
        let mut variables = Vec::new();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str() else { continue };
            let Some((group, _)) = parse_variable(name) else { continue };
            match value.into_string() {
                Ok(value) => variables.push((name.to_owned(), value)),
                Err(_) if rows(&group).is_none() => {}
                Err(_) => return Err(invalid(format!("{name} is not Unicode"))),
            }
        }
        Ok(self.environment_from(variables))
    }

    /// Adds these variables instead of those of the process. Names of another form are ignored.
    pub fn environment_from<N, V>(mut self, variables: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: AsRef<str>,
        V: Into<String>,
    {
        for (variable, value) in variables {
            if let Some((group, name)) = parse_variable(variable.as_ref()) {
                let source = Source::Environment(variable.as_ref().to_owned());
                let (rank, value) = (Rank::Environment, value.into());
                self.entries.push(Entry { rank, group, name, value, source });
            }
        }
        self
    }

    /// Sets an option, overriding files and environment; the last call counts. Items of lists are
    /// separated by commas.
    pub fn set(self, group: &str, option: &str, value: impl Into<String>) -> Self {
        self.push(Rank::Set, Source::Set, group, option, value.into())
    }

    /// Sets the default of an option, which files and environment override (oslo's
    /// `set_defaults`).
    pub fn set_default(self, group: &str, option: &str, value: impl Into<String>) -> Self {
        self.push(Rank::SetDefault, Source::SetDefault, group, option, value.into())
    }

    /// Returns `[DEFAULT] transport_url` with passwords and query; `rabbit://` if it is not set.
    ///
    /// # Errors
    /// `InvalidOptions` for an invalid option or value anywhere in the configuration, naming its
    /// source and what is accepted; `InvalidTransportUrl` for the URL and its query.
    pub fn transport_url(&self) -> Result<String, Error> {
        Ok(resolve(&self.entries)?.settings.transport_url().to_owned())
    }

    /// Returns `[oslo_messaging_notifications] transport_url`, or the URL of RPCs if it is not set.
    ///
    /// # Errors
    /// As [`transport_url`](Self::transport_url).
    pub fn notification_transport_url(&self) -> Result<String, Error> {
        let settings = resolve(&self.entries)?.settings;
        let own = settings.notifications.transport_url.as_deref();
        Ok(own.unwrap_or(settings.transport_url()).to_owned())
    }

    /// Returns the options of a transport, without those in the URL's query: a transport with that
    /// URL applies them itself.
    ///
    /// # Errors
    /// As [`transport_url`](Self::transport_url).
    pub fn driver_config(&self) -> Result<DriverConfig, Error> {
        Ok(resolve(&self.entries)?.settings.driver)
    }

    /// Returns the options of notifications.
    ///
    /// # Errors
    /// As [`transport_url`](Self::transport_url).
    pub fn notification_config(&self) -> Result<NotificationConfig, Error> {
        Ok(resolve(&self.entries)?.settings.notifications)
    }

    /// Returns the options of the engine.
    ///
    /// # Errors
    /// As [`transport_url`](Self::transport_url).
    pub fn engine_config(&self) -> Result<EngineConfig, Error> {
        Ok(resolve(&self.entries)?.settings.engine_config())
    }

    /// Returns every option with the value in force, including the URL's query, and its source;
    /// sorted by group, `DEFAULT` first, then by name. Passwords are masked.
    ///
    /// # Errors
    /// As [`transport_url`](Self::transport_url).
    pub fn effective(&self) -> Result<Vec<Setting>, Error> {
        Ok(resolve(&self.entries)?.effective)
    }

    /// Returns warnings: deprecated names with the current ones, options without effect, and
    /// ignored groups whose names resemble a known one.
    ///
    /// # Errors
    /// As [`transport_url`](Self::transport_url).
    pub fn warnings(&self) -> Result<Vec<String>, Error> {
        Ok(resolve(&self.entries)?.warnings)
    }

    /// Returns the options that Leveret does not know: all options of other groups, and unknown
    /// names in `DEFAULT`, where services have options of their own. Their values are used only
    /// where a known option refers to them.
    ///
    /// # Errors
    /// As [`transport_url`](Self::transport_url).
    pub fn ignored(&self) -> Result<Vec<Ignored>, Error> {
        Ok(resolve(&self.entries)?.ignored)
    }

    fn push(mut self, rank: Rank, source: Source, group: &str, name: &str, value: String) -> Self {
        let (group, name) = (normalize_group(group), name.to_owned());
        self.entries.push(Entry { rank, group, name, value, source });
        self
    }

    fn file(self, path: &Path, parse: Parse) -> Result<Self, Error> {
        let text = source::read(path).map_err(invalid)?;
        self.text(path, &text, parse)
    }

    fn text(mut self, path: &Path, text: &str, parse: Parse) -> Result<Self, Error> {
        let path: Arc<Path> = PathBuf::from(path).into();
        let found = parse(text)
            .map_err(|error| invalid(format!("{}, {error}", path.display())).with_cause(error))?;
        let rank = Rank::File(self.files);
        self.files += 1;
        self.entries.extend(found.into_iter().map(|Assignment { group, name, value, line }| {
            let source = Source::File { path: Arc::clone(&path), line };
            Entry { rank, group: normalize_group(&group), name, value, source }
        }));
        Ok(self)
    }
}

type Parse = fn(&str) -> Result<Vec<Assignment>, SyntaxError>;

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("values", &self.entries.len()).finish_non_exhaustive()
    }
}

/// Splits the name of a variable into group and option.
fn parse_variable(variable: &str) -> Option<(String, String)> {
    let (group, name) = variable.strip_prefix(VARIABLE_PREFIX)?.split_once("__")?;
    Some((normalize_variable_group(group), name.to_lowercase()))
}
