//! `$name` and `${group.name}` in values, by the rules of oslo.config.
//!
//! `$$` and `\$` stand for a dollar sign; a `$` that begins no name stays as it is. A name without
//! a group is looked for in the group of the value, then in `DEFAULT`. Invariant: a chain of
//! references has an end, and neither their number nor the length of the result grows without
//! bound, whatever the files say. A refusal repeats nothing of a URL, whose password may hold a
//! `$`, nor of a value that was only referred to, whose secrets nobody here knows. Not here: where
//! values are found.

/// References one value may lead to, those in referenced values included.
const REFERENCES_MAX: usize = 256;
/// Bytes of a value when everything is put in.
const LENGTH_MAX: usize = 64 << 10;
/// References inside referenced values.
const DEPTH_MAX: usize = 16;

/// A value by group and name, as its source wrote it, with the group it was found in.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str, &str) -> Option<String>;

/// The text with everything put in, or why it cannot be; that repeats nothing of a text that
/// `is_secret`, or a URL.
pub(crate) fn substitute(
    text: &str,
    group: &str,
    is_secret: bool,
    lookup: Lookup<'_>,
) -> Result<String, String> {
    let is_plain = !is_secret && !text.contains("://");
    let mut expansion = Expansion { lookup, is_plain, references: 0, chain: Vec::new() };
    expansion.expand(text, group)
}

struct Expansion<'a> {
    lookup: Lookup<'a>,
    /// The text itself holds no secret: what it asks for may be said.
    is_plain: bool,
    references: usize,
    /// The names whose values are being expanded, to find a circle.
    chain: Vec<(String, String)>,
}

impl Expansion<'_> {
    fn expand(&mut self, text: &str, group: &str) -> Result<String, String> {
        // As oslo: `\$` becomes `$$` before anything is read.
        let text = text.replace("\\$", "$$");
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some(at) = rest.find('$') {
            let (before, after) = (&rest[..at], &rest[at + 1..]);
            out.push_str(before);
            rest = if let Some(after) = after.strip_prefix('$') {
                out.push('$');
                after
            } else if let Some((name, after)) = name_at(after) {
                out.push_str(&self.value_of(name, group)?);
                after
            } else {
                out.push('$');
                after
            };
            if out.len() > LENGTH_MAX {
                return Err(format!("grows beyond {LENGTH_MAX} bytes by what `$` puts in"));
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    fn value_of(&mut self, name: &str, group: &str) -> Result<String, String> {
        self.references += 1;
        if self.references > REFERENCES_MAX || self.chain.len() >= DEPTH_MAX {
            return Err("leads to too many other values by `$`".to_owned());
        }
        let (group, option) = name.split_once('.').unwrap_or((group, name));
        let found = [(group, option), ("DEFAULT", name)].into_iter().find_map(|(group, name)| {
            (self.lookup)(group, name).map(|value| (group.to_owned(), name.to_owned(), value))
        });
        let Some((group, option, value)) = found else {
            return Err(match self.may_be_said() {
                true => format!("asks for ${name}, which is set nowhere ($$ writes a dollar sign)"),
                false => "asks by a `$` for what is set nowhere ($$ writes a dollar sign)".into(),
            });
        };
        let link = (group, option);
        if self.chain.contains(&link) {
            return Err("asks by a `$` for what asks for itself in the end".to_owned());
        }
        let group = link.0.clone();
        self.chain.push(link);
        let value = self.expand(&value, &group);
        self.chain.pop();
        value
    }

    /// Whether names in the text that is being expanded may stand in a refusal.
    fn may_be_said(&self) -> bool {
        self.is_plain && self.chain.is_empty()
    }
}

/// The name that follows a `$`, with or without braces, and what follows it.
fn name_at(text: &str) -> Option<(&str, &str)> {
    let (braced, inner) = match text.strip_prefix('{') {
        Some(inner) => (true, inner),
        None => (false, text),
    };
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let end = inner.find(|c| !is_part(c)).unwrap_or(inner.len());
    let (name, rest) = inner.split_at(end);
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let rest = if braced { rest.strip_prefix('}') } else { Some(rest) };
    rest.filter(|_| begins).map(|rest| (name, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lookup(group: &str, name: &str) -> Option<String> {
        let value = match (group, name) {
            ("DEFAULT", "host") => "h1",
            ("DEFAULT", "where") => "at $host",
            ("g", "host") => "h2",
            ("g", "circle") => "${DEFAULT.round}",
            ("DEFAULT", "round") => "$g.circle",
            ("DEFAULT", "b0") => "$b1$b1$b1$b1",
            ("DEFAULT", "b1") => "$b2$b2$b2$b2",
            ("DEFAULT", "b2") => "$b3$b3$b3$b3",
            ("DEFAULT", "b3") => "$b4$b4$b4$b4",
            ("DEFAULT", "b4") => "",
            ("DEFAULT", "password") => "pa$sword",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn names_are_replaced_as_oslo_does() {
        for (text, group, expected) in [
            ("rabbit://$host/", "DEFAULT", "rabbit://h1/"),
            ("x${host}y", "g", "xh2y"),
            ("$where", "g", "at h1"),
            ("${g.host}", "DEFAULT", "h2"),
            ("$$host \\$host $ $5 ${host $", "g", "$host $host $ $5 ${host $"),
            ("$\\$$", "g", "$$"),
            ("$\\$host", "g", "$h2"),
        ] {
            assert_eq!(substitute(text, group, false, &lookup).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_has_no_end_or_no_value_is_refused() {
        for (text, why) in [
            ("$nowhere", "asks for $nowhere, which is set nowhere"),
            ("$g.circle", "asks for itself"),
            ("$b0", "too many other values"),
        ] {
            let error = substitute(text, "DEFAULT", false, &lookup).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        let long = |_: &str, name: &str| match name {
            "a" => Some("$b".repeat(100)),
            _ => Some("x".repeat(1024)),
        };
        assert!(substitute("$a", "DEFAULT", false, &long).unwrap_err().contains("grows beyond"));
    }

    #[test]
    fn nothing_that_may_be_a_secret_is_repeated() {
        for text in ["rabbit://u:pa$sword@h/", "rabbit://u:$password@h/", "$password"] {
            let error = substitute(text, "DEFAULT", false, &lookup).unwrap_err();
            assert!(error.contains("set nowhere") && !error.contains("sword"), "{error}");
        }
        let error = substitute("u:pa$sword@h", "DEFAULT", true, &lookup).unwrap_err();
        assert!(!error.contains("sword"), "{error}");
        let circle = |_: &str, name: &str| (name == "sword").then(|| "$sword".to_owned());
        let error = substitute("rabbit://u:pa$sword@h/", "DEFAULT", false, &circle).unwrap_err();
        assert!(error.contains("asks for itself") && !error.contains("sword"), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_ends(text in "(\\$|\\{|\\}|\\\\|\\.|host|circle|b0|g|é)*") {
            drop(substitute(&text, "g", false, &lookup));
        }
    }
}
