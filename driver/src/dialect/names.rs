//! The length of names.

use crate::error::Error;
use crate::message::target::Target;

/// The longest name of an exchange, a queue or a routing key: an AMQP short string.
pub(super) const NAME_BYTES_MAX: usize = 255;

/// Checks that names fit into AMQP short strings.
///
/// # Errors
/// `InvalidTarget`.
pub(super) fn check_names<'a>(
    target: &Target,
    mut names: impl Iterator<Item = &'a str>,
) -> Result<(), Error> {
    match names.find(|name| name.len() > NAME_BYTES_MAX) {
        None => Ok(()),
        Some(name) => Err(target.invalid(format_args!(
            "AMQP names have at most {NAME_BYTES_MAX} bytes, this target needs one of {}",
            name.len()
        ))),
    }
}
