//! Machines where io_uring is denied: the engine runs on epoll and reports why.
//!
//! The test runs itself again under a seccomp filter; `inner` is the part that runs there.

use std::process::Command;

use leveret_engine::{BackendChoice, BackendKind, Engine, EngineConfig, ErrorKind};

const DENIED: &str = "LEVERET_TEST_DENIED";

fn under(refusal: &str) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../.ci/support/no_uring.py");
    let output = Command::new("python3")
        .args([script, refusal])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "connection::io_uring_denied::inner", "--nocapture"])
        .env(DENIED, refusal)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn auto_falls_back_to_epoll_and_uring_reports_why_it_fails() {
    for refusal in ["EPERM", "ENOSYS", "EACCES", "EPERM@enter"] {
        assert!(under(refusal).contains("denied as expected"), "{refusal}");
    }
}

#[test]
fn inner() {
    if std::env::var_os(DENIED).is_none() {
        return;
    }
    let start = |choice| Engine::start(EngineConfig::default().with_backend(choice));
    assert_eq!(start(BackendChoice::Auto).unwrap().backend(), BackendKind::Epoll);
    let error = start(BackendChoice::Uring).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Backend);
    assert!(error.to_string().contains("io_uring is not available"), "{error}");
    eprintln!("{error}");
    println!("denied as expected");
}
