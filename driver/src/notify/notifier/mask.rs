//! Hides values that look secret in logs and in the contexts of notifications.
//!
//! oslo masks values whose key contains one of these words before it logs a notification, and sends
//! only a redacted copy of a context. The key alone decides: a secret under another key is not
//! found. Invariant: a masked value keeps its key.

use serde_json::Value;

use crate::message::context::Context;

/// The replacement of a secret, as in oslo's logs.
const MASK: &str = "***";

/// Words that make a key suspect, in lower case (oslo.utils' list, those of single products left
/// out).
const WORDS: [&str; 17] = [
    "adminpass",
    "admin_pass",
    "auth_token",
    "chapsecret",
    "configdrive",
    "credential",
    "encrypted_key",
    "fernetkey",
    "new_pass",
    "passphrase",
    "password",
    "private_key",
    "secret",
    "sslkey",
    "sys_pswd",
    "token",
    "cookie",
];

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    WORDS.iter().any(|word| key.contains(word))
}

/// Replaces every secret in `value`, at any depth.
pub(crate) fn mask(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                if is_secret(key) && !value.is_object() {
                    *value = MASK.into();
                } else {
                    mask(value);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(mask),
        _ => {}
    }
}

/// The context without entries that look secret.
pub(crate) fn redacted(context: &Context) -> Context {
    let kept = context.iter().filter(|(key, _)| !is_secret(key));
    kept.map(|(key, value)| {
        let mut value = value.clone();
        mask(&mut value);
        (key, value)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_masked_wherever_they_are() {
        let mut value = json!({
            "user": "alice",
            "auth": {"Password": "x", "domain": [{"api_TOKEN": ["a"]}]},
            "secrets": {"key": 1},
        });
        mask(&mut value);
        let masked = json!({
            "user": "alice",
            "auth": {"Password": "***", "domain": [{"api_TOKEN": "***"}]},
            "secrets": {"key": 1},
        });
        assert_eq!(value, masked);
    }

    #[test]
    fn a_context_loses_its_secrets() {
        let context = Context::new()
            .with("user", "alice")
            .with("auth_token", "x")
            .with("more", json!({"password": "x", "a": 1}));
        let kept =
            Context::new().with("user", "alice").with("more", json!({"password": "***", "a": 1}));
        assert_eq!(redacted(&context), kept);
    }
}
