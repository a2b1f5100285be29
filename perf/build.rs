//! Tells the program which commit it was built from, where there is a repository.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=LEVERET_COMMIT");
    println!("cargo::rerun-if-changed=../.git/HEAD");
    println!("cargo::rerun-if-changed=../.git/logs/HEAD");
    if std::env::var_os("LEVERET_COMMIT").is_none()
        && let Some(commit) = commit()
    {
        println!("cargo::rustc-env=LEVERET_COMMIT={commit}");
    }
}

fn commit() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
