//! Finds the publication that caused a channel exception, and what that says about its neighbours.
//!
//! RabbitMQ handles the frames of a channel in order and ignores everything behind the publication
//! that closes it. So publications before the culprit may have been accepted, and those behind it
//! were not. The exception names the exchange (403, 404) or the size of the body (406), but not the
//! publication: if several match, each of them may be the culprit. Everything here is a pure
//! decision; `in_flight` acts on it.

/// `basic.publish` (AMQP 1.8.3.7).
const PUBLISH: (u16, u16) = (60, 40);

/// The cause that a channel exception names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Not a publication.
    Other,
    /// A publication to this exchange.
    Exchange(String),
    /// A publication with a body of this size.
    Size(u64),
    /// A publication that the exception does not name.
    Unnamed,
}

impl Cause {
    /// Parses RabbitMQ's reply text.
    pub(crate) fn of(method: (u16, u16), code: u16, text: &str) -> Self {
        if method != PUBLISH {
            return Self::Other;
        }
        let named = match code {
            403 | 404 => exchange_in(text).map(Self::Exchange),
            406 => size_in(text).map(Self::Size),
            _ => None,
        };
        named.unwrap_or(Self::Unnamed)
    }

    /// Whether this publication may be the cause.
    pub(crate) fn fits(&self, exchange: &str, size: u64) -> bool {
        match self {
            Self::Other => false,
            Self::Exchange(named) => named == exchange,
            Self::Size(named) => *named == size,
            Self::Unnamed => true,
        }
    }
}

/// The exchange in `… exchange 'name' in vhost …`. RabbitMQ calls the default exchange
/// `amq.default`.
fn exchange_in(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("exchange '")?;
    let end = rest.find("' in vhost").or_else(|| rest.find('\''))?;
    let name = &rest[..end];
    Some(if name == "amq.default" { String::new() } else { name.to_owned() })
}

/// The size in `message size 123 is larger than …`.
fn size_in(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once("message size ")?;
    rest.split(' ').next()?.parse().ok()
}

/// What an exception says about a publication, by its place in the order of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attribution {
    /// It may have been accepted, and did not close the channel.
    Before,
    /// It closed the channel.
    Culprit,
    /// It may have closed the channel.
    Suspect,
    /// It was not accepted, because the channel was closed before it.
    Behind,
}

/// Classifies publications in the order they were sent. `fits` tells for each whether the exception
/// may be about it.
pub(crate) fn attribute(fits: &[bool]) -> Vec<Attribution> {
    let first = fits.iter().position(|fits| *fits);
    let last = fits.iter().rposition(|fits| *fits);
    let Some((first, last)) = first.zip(last) else {
        // The cause was confirmed or withdrawn before, so nothing is known about the others.
        return vec![Attribution::Before; fits.len()];
    };
    let of = |(index, fits): (usize, &bool)| match *fits {
        true if first == last => Attribution::Culprit,
        true => Attribution::Suspect,
        false if index < last => Attribution::Before,
        false => Attribution::Behind,
    };
    fits.iter().enumerate().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: u16, text: &str) -> Cause {
        Cause::of(PUBLISH, code, text)
    }

    #[test]
    fn reply_texts_of_rabbitmq_are_parsed() {
        let exchange = |name: &str| Cause::Exchange(name.to_owned());
        assert_eq!(of(404, "NOT_FOUND - no exchange 'x' in vhost '/'"), exchange("x"));
        let refused =
            "ACCESS_REFUSED - access to exchange 'it's' in vhost 'v' refused for user 'u'";
        assert_eq!(of(403, refused), exchange("it's"));
        let refused =
            "ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' refused";
        assert_eq!(of(403, refused), exchange(""));
        let refused = "ACCESS_REFUSED - access to topic 'k' in exchange 'x' in vhost '/' refused";
        assert_eq!(of(403, refused), exchange("x"));
        let large = "PRECONDITION_FAILED - message size 2000 is larger than configured max size 10";
        assert_eq!(of(406, large), Cause::Size(2000));
        assert_eq!(of(406, "PRECONDITION_FAILED - unknown delivery tag 7"), Cause::Unnamed);
        assert_eq!(of(404, "NOT_FOUND - no exchange 'cut off"), Cause::Unnamed);
        assert_eq!(Cause::of((50, 10), 404, "no exchange 'x' in vhost '/'"), Cause::Other);
    }

    #[test]
    fn the_only_one_that_fits_is_the_culprit() {
        use Attribution::{Before, Behind, Culprit, Suspect};
        assert_eq!(attribute(&[false, true, false]), [Before, Culprit, Behind]);
        let among_others = attribute(&[false, true, false, true, false]);
        assert_eq!(among_others, [Before, Suspect, Before, Suspect, Behind]);
        assert_eq!(attribute(&[false, false]), [Before; 2], "nothing is known");
        assert_eq!(attribute(&[]), []);
    }
}
