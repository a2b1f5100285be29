//! Substitutes `$name` and `${group.name}` in values, by the rules of oslo.config.
//!
//! `$$` and `\$` stand for a dollar sign; a `$` that begins no name stays as it is. A name without
//! a group is looked up in the group of the value, then in `DEFAULT`. Invariant: chains of
//! references end, and neither their number nor the length of the result grows without bound,
//! whatever the files contain. An error repeats nothing of a URL, whose password may contain a `$`,
//! nor of a referenced value, which may be a secret. Not here: where values are found.

/// References per value, including those in referenced values.
const REFERENCES_MAX: usize = 256;
/// Bytes of a value after substitution.
const LENGTH_MAX: usize = 64 << 10;
/// Depth of references inside referenced values.
const DEPTH_MAX: usize = 16;

/// Looks a value up by group and name, as its source has it.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str, &str) -> Option<String>;

/// Returns the text after substitution, or the reason why that fails. The reason repeats nothing of
/// a text that `is_secret` or contains a URL.
pub(crate) fn substitute(
    text: &str,
    group: &str,
    is_secret: bool,
    lookup: Lookup<'_>,
) -> Result<String, String> {
    let may_show_text = !is_secret && !text.contains("://");
    let mut expansion = Expansion { lookup, may_show_text, references: 0, chain: Vec::new() };
    expansion.expand(text, group)
}

struct Expansion<'a> {
    lookup: Lookup<'a>,
    /// The text itself holds no secret, so an error may show the names in it.
    may_show_text: bool,
    references: usize,
    /// The names whose values are being expanded, to detect cycles.
    chain: Vec<(String, String)>,
}

impl Expansion<'_> {
    fn expand(&mut self, text: &str, group: &str) -> Result<String, String> {
        // As in oslo.config, `\$` becomes `$$` first.
        let text = text.replace("\\$", "$$");
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some(at) = rest.find('$') {
            let (before, after) = (&rest[..at], &rest[at + 1..]);
            out.push_str(before);
            rest = if let Some(after) = after.strip_prefix('$') {
                out.push('$');
                after
            } else if let Some((name, after)) = parse_reference(after) {
                out.push_str(&self.value_of(name, group)?);
                after
            } else {
                out.push('$');
                after
            };
            if out.len() > LENGTH_MAX {
                return Err(format!("grows beyond {LENGTH_MAX} bytes by substitution of `$`"));
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    fn value_of(&mut self, name: &str, group: &str) -> Result<String, String> {
        self.references += 1;
        if self.references > REFERENCES_MAX || self.chain.len() >= DEPTH_MAX {
            return Err("refers by `$` to too many other values".to_owned());
        }
        let (group, option) = name.split_once('.').unwrap_or((group, name));
        let found = [(group, option), ("DEFAULT", name)].into_iter().find_map(|(group, name)| {
            (self.lookup)(group, name).map(|value| (group.to_owned(), name.to_owned(), value))
        });
        let Some((group, option, value)) = found else {
            return Err(match self.may_show_names() {
                true => {
                    format!("refers to ${name}, which is not set ($$ stands for a dollar sign)")
                }
                false => "refers by a `$` to a value that is not set ($$ stands for a dollar sign)"
                    .into(),
            });
        };
        let link = (group, option);
        if self.chain.contains(&link) {
            return Err("refers by a `$` to a value that refers to itself".to_owned());
        }
        let group = link.0.clone();
        self.chain.push(link);
        let value = self.expand(&value, &group);
        self.chain.pop();
        value
    }

    /// Whether an error may show names of the text that is being expanded.
    fn may_show_names(&self) -> bool {
        self.may_show_text && self.chain.is_empty()
    }
}

/// Splits the text after a `$` into the name, with or without braces, and the rest.
fn parse_reference(text: &str) -> Option<(&str, &str)> {
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
    fn names_are_substituted_as_by_oslo() {
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
    fn references_without_end_or_value_are_errors() {
        for (text, why) in [
            ("$nowhere", "refers to $nowhere, which is not set"),
            ("$g.circle", "refers to itself"),
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
    fn errors_repeat_no_secret() {
        for text in ["rabbit://u:pa$sword@h/", "rabbit://u:$password@h/", "$password"] {
            let error = substitute(text, "DEFAULT", false, &lookup).unwrap_err();
            assert!(error.contains("not set") && !error.contains("sword"), "{error}");
        }
        let error = substitute("u:pa$sword@h", "DEFAULT", true, &lookup).unwrap_err();
        assert!(!error.contains("sword"), "{error}");
        let circle = |_: &str, name: &str| (name == "sword").then(|| "$sword".to_owned());
        let error = substitute("rabbit://u:pa$sword@h/", "DEFAULT", false, &circle).unwrap_err();
        assert!(error.contains("refers to itself") && !error.contains("sword"), "{error}");
    }

    proptest! {
        #[test]
        fn substitution_of_any_text_ends(text in "(\\$|\\{|\\}|\\\\|\\.|host|circle|b0|g|é)*") {
            drop(substitute(&text, "g", false, &lookup));
        }
    }
}
