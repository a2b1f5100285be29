//! `$name` and `${group.name}` in values, by the rules of oslo.config.
//!
//! `$$` and `\$` stand for a dollar sign; a `$` that begins no name stays as it is. A name without
//! a group is looked for in the group of the value, then in `DEFAULT`. Invariant: a chain of
//! references has an end, and neither their number nor the length of the result grows without
//! bound, whatever the files say. Not here: where values are found.

/// References one value may lead to, those in referenced values included.
const REFERENCES_MAX: usize = 256;
/// Bytes of a value when everything is put in.
const LENGTH_MAX: usize = 64 << 10;
/// References inside referenced values.
const DEPTH_MAX: usize = 16;

/// A value by group and name, as its source wrote it, with the group it was found in.
pub(super) type Lookup<'a> = &'a dyn Fn(&str, &str) -> Option<String>;

/// The text with everything put in, or why it cannot be.
pub(super) fn substitute(text: &str, group: &str, lookup: Lookup<'_>) -> Result<String, String> {
    let mut expansion = Expansion { lookup, references: 0, chain: Vec::new() };
    expansion.expand(text, group)
}

struct Expansion<'a> {
    lookup: Lookup<'a>,
    references: usize,
    /// The names whose values are being expanded, to find a circle.
    chain: Vec<(String, String)>,
}

impl Expansion<'_> {
    fn expand(&mut self, text: &str, group: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            let (before, after) = (&rest[..at], &rest[at + 1..]);
            if let Some(before) = before.strip_suffix('\\') {
                out.push_str(before);
                out.push('$');
                rest = after;
                continue;
            }
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
            return Err(format!(
                "asks for ${name}, which is set nowhere ($$ writes a dollar sign)"
            ));
        };
        let link = (group, option);
        if self.chain.contains(&link) {
            return Err(format!("asks for ${name}, which asks for itself in the end"));
        }
        let group = link.0.clone();
        self.chain.push(link);
        let value = self.expand(&value, &group);
        self.chain.pop();
        value
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
        ] {
            assert_eq!(substitute(text, group, &lookup).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_has_no_end_or_no_value_is_refused() {
        for (text, why) in [
            ("$nowhere", "asks for $nowhere, which is set nowhere"),
            ("$g.circle", "asks for itself"),
            ("$b0", "too many other values"),
        ] {
            let error = substitute(text, "DEFAULT", &lookup).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        let long = |_: &str, name: &str| match name {
            "a" => Some("$b".repeat(100)),
            _ => Some("x".repeat(1024)),
        };
        assert!(substitute("$a", "DEFAULT", &long).unwrap_err().contains("grows beyond"));
    }

    proptest! {
        #[test]
        fn any_text_ends(text in "(\\$|\\{|\\}|\\\\|\\.|host|circle|b0|g|é)*") {
            drop(substitute(&text, "g", &lookup));
        }
    }
}
