//! Files that are not what they should be: each is told by its path, and what to do.

use std::path::Path;

use leveret_engine::{ErrorKind, Secret, TlsConfig};
use leveret_support::{Authority, Leaf};

/// Expects an error of the settings with these words.
fn wrong(tls: &TlsConfig, words: &[&str]) {
    let error = tls.check().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    let text = error.to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
}

fn write(authority: &Authority, name: &str, text: &str) -> std::path::PathBuf {
    let path = authority.file(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn openssl(arguments: &[&str], folder: &Path) {
    let done = std::process::Command::new("openssl").args(arguments).current_dir(folder).output();
    let done = done.expect("openssl is installed (apt-get install openssl)");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn authorities_that_cannot_be_read_are_told() {
    let authority = Authority::new();
    let ca = |path: &Path| TlsConfig::new().with_ca_file(path);
    wrong(&ca(&authority.file("none.pem")), &["none.pem", "No such file"]);
    wrong(&ca(authority.file("").as_path()), &["no file of such a size"]);
    wrong(&ca(&write(&authority, "empty.pem", "")), &["empty.pem", "holds no certificates"]);
    let key_only = authority.issue("only", &Leaf::default()).key;
    wrong(&ca(&key_only), &["holds no certificates"]);
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    wrong(&ca(&write(&authority, "broken.pem", broken)), &["broken.pem", "can be trusted"]);
    let cut = "-----BEGIN CERTIFICATE-----\nMIIB\n";
    wrong(&ca(&write(&authority, "cut.pem", cut)), &["cut.pem"]);
    wrong(&ca(Path::new("/dev/zero")), &["/dev/zero"]);
}

#[test]
fn files_with_windows_line_ends_or_with_all_in_one_are_read() {
    let authority = Authority::new();
    let client = authority.issue("client", &Leaf::default());
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let dos = |path: &Path, name: &str| write(&authority, name, &read(path).replace('\n', "\r\n"));
    let ca = dos(&authority.ca(), "dos-ca.pem");
    let (cert, key) = (dos(&client.cert, "dos.pem"), dos(&client.key, "dos.key"));
    TlsConfig::new().with_ca_file(ca).with_identity(cert, key).check().unwrap();

    let all = read(&client.key) + &read(&client.cert) + &read(&authority.ca());
    let all = write(&authority, "all.pem", &all);
    TlsConfig::new().with_ca_file(authority.ca()).with_identity(&all, &all).check().unwrap();
}

#[test]
fn certificates_and_keys_that_do_not_fit_are_told() {
    let authority = Authority::new();
    let client = authority.issue("client", &Leaf::default());
    let other = authority.issue("other", &Leaf::default());
    let ours = TlsConfig::new().with_ca_file(authority.ca());
    let with = |cert: &Path, key: &Path| ours.clone().with_identity(cert, key);
    wrong(&with(&client.cert, &other.key), &["other.key", "is not the key of", "client.pem"]);
    wrong(&with(&client.key, &client.key), &["client.key", "holds no certificates"]);
    wrong(&with(&client.cert, &client.cert), &["client.pem", "holds no private key"]);
    wrong(&with(&authority.file("gone"), &client.key), &["gone", "No such file"]);
}

#[test]
fn a_key_is_decrypted_with_its_password_and_no_other() {
    let authority = Authority::new();
    let client = authority.issue("client", &Leaf::default());
    let folder = authority.file("");
    openssl(
        &["pkcs8", "-topk8", "-in", "client.key", "-out", "locked.key", "-passout", "pass:carrot"],
        &folder,
    );
    openssl(
        &["ec", "-in", "client.key", "-out", "old.key", "-aes256", "-passout", "pass:carrot"],
        &folder,
    );
    let with = |key: &str| {
        let ours = TlsConfig::new().with_ca_file(authority.ca());
        ours.with_identity(&client.cert, authority.file(key))
    };
    with("locked.key").with_key_password(Secret::new("carrot")).check().unwrap();
    wrong(&with("locked.key"), &["locked.key", "ssl_key_password"]);
    let bad = with("locked.key").with_key_password(Secret::new("turnip"));
    wrong(&bad, &["locked.key", "cannot be decrypted"]);
    assert!(!bad.check().unwrap_err().to_string().contains("turnip"));
    let old = with("old.key").with_key_password(Secret::new("carrot"));
    wrong(&old, &["old.key", "openssl pkcs8"]);
    // A password that is not needed does no harm.
    with("client.key").with_key_password(Secret::new("carrot")).check().unwrap();
}
