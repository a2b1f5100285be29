//! Licences of everything we depend on: each must be free to use in an Apache-2.0 program.
//!
//! An expression is SPDX as cargo knows it (`MIT OR Apache-2.0`, and `MIT/Apache-2.0` of older
//! crates). `OR` needs one side allowed, `AND` both. Not here: advisories, duplicates.

use serde_json::Value;

use crate::Problem;

const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0", // data, not code: Mozilla's list of root certificates
    "ISC",
    "MIT",
    "MIT-0",
    "NCSA",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Checks the packages of `cargo metadata`.
pub(crate) fn check(metadata: &Value) -> Result<Vec<Problem>, String> {
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    let objections = packages.iter().filter_map(|package| {
        let name = package["name"].as_str().unwrap_or("?");
        let reason = match package["license"].as_str() {
            None => "states no licence".to_owned(),
            Some(expression) if satisfiable(expression) == Some(true) => return None,
            Some(expression) => format!("has the licence `{expression}`"),
        };
        Some(Problem::new(
            "Cargo.lock",
            1,
            format!("dependency `{name}` {reason}: use another one"),
        ))
    });
    Ok(objections.collect())
}

/// Whether the allowed licences satisfy an expression; `None` when it cannot be read.
fn satisfiable(expression: &str) -> Option<bool> {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut tokens = spaced.split_whitespace().collect::<Vec<_>>().into_iter().peekable();
    let value = any_of(&mut tokens)?;
    tokens.next().is_none().then_some(value)
}

type Tokens<'a> = std::iter::Peekable<std::vec::IntoIter<&'a str>>;

fn any_of(tokens: &mut Tokens<'_>) -> Option<bool> {
    let mut value = all_of(tokens)?;
    while tokens.next_if_eq(&"OR").is_some() {
        value |= all_of(tokens)?;
    }
    Some(value)
}

fn all_of(tokens: &mut Tokens<'_>) -> Option<bool> {
    let mut value = one(tokens)?;
    while tokens.next_if_eq(&"AND").is_some() {
        value &= one(tokens)?;
    }
    Some(value)
}

fn one(tokens: &mut Tokens<'_>) -> Option<bool> {
    let first = tokens.next()?;
    if first == "(" {
        let value = any_of(tokens)?;
        return tokens.next_if_eq(&")").map(|_| value);
    }
    // An exception only ever adds permissions.
    if tokens.next_if_eq(&"WITH").is_some() {
        tokens.next()?;
    }
    Some(ALLOWED.contains(&first))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn expressions_are_satisfied_or_not() {
        for (expression, expected) in [
            ("MIT", Some(true)),
            ("GPL-3.0-only", Some(false)),
            ("MIT/Apache-2.0", Some(true)),
            ("GPL-2.0 OR MIT", Some(true)),
            ("GPL-2.0 AND MIT", Some(false)),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", Some(true)),
            ("Apache-2.0 WITH LLVM-exception OR MIT", Some(true)),
            ("ISC AND (Apache-2.0 OR OpenSSL)", Some(true)),
            ("ISC AND OpenSSL", Some(false)),
            ("(MIT", None),
            ("MIT MIT", None),
            ("", None),
        ] {
            assert_eq!(satisfiable(expression), expected, "{expression}");
        }
    }

    #[test]
    fn a_package_without_a_free_licence_is_named() {
        let metadata = json!({"packages": [
            {"name": "fine", "license": "MIT OR Apache-2.0"},
            {"name": "silent", "license": null},
            {"name": "closed", "license": "Proprietary"},
        ]});
        let messages: Vec<String> =
            check(&metadata).unwrap().into_iter().map(|problem| problem.message).collect();
        assert_eq!(
            messages,
            [
                "dependency `silent` states no licence: use another one",
                "dependency `closed` has the licence `Proprietary`: use another one"
            ]
        );
        assert!(check(&json!({})).is_err());
    }
}
