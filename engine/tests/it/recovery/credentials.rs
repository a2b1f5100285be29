//! Credentials that change: the provider is called for each attempt, and expiring ones are renewed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use leveret_engine::{ConnectionState, Credentials, CredentialsProvider, ErrorKind, Secret};
use leveret_support::Broker;

use crate::support::setup::{channel, config, engine, until};

#[test]
fn a_provider_is_called_for_each_attempt_and_may_fail() {
    let vhost = "audit-credentials";
    let mut config = config(vhost);
    Broker::shared().eval(&format!(
        "ok = rabbit_auth_backend_internal:add_user(<<\"rotating\">>, <<\"one\">>, <<\"tests\">>), \
         ok = rabbit_auth_backend_internal:set_permissions(<<\"rotating\">>, <<\"{vhost}\">>, \
         <<\".*\">>, <<\".*\">>, <<\".*\">>, <<\"tests\">>)."
    ));
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    config.credentials = Some(CredentialsProvider::new(move |host, _| {
        assert_eq!(host, "127.0.0.1");
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(Credentials::new("rotating", Secret::new("one"))),
            1 => Err("the vault is sealed".into()),
            2 => panic!("on purpose"),
            _ => Ok(Credentials::new("rotating", Secret::new("two"))),
        }
    }));
    let connection = engine().connect_blocking(config).unwrap();
    Broker::shared().eval(
        "ok = rabbit_auth_backend_internal:change_password(<<\"rotating\">>, <<\"two\">>, \
         <<\"tests\">>), \
         [rabbit_networking:close_connection(P, \"rotated\") || \
         P <- rabbit_networking:connections(), \
         [{user, <<\"rotating\">>}] =:= rabbit_reader:info(P, [user])].",
    );
    until("the new password is taken", || {
        asked.load(Ordering::SeqCst) >= 4 && connection.state() == ConnectionState::Open
    });
    let error = connection.status().last_error.expect("two attempts failed");
    assert_eq!(error.kind(), ErrorKind::AccessRefused);
    channel(&connection);
}

#[test]
fn credentials_that_expire_are_renewed_without_a_reconnect() {
    let mut config = config("audit-renewal");
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    config.credentials = Some(CredentialsProvider::new(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        let guest = Credentials::new("guest", Secret::new("guest"));
        Ok(guest.with_expiry(Duration::from_millis(250)))
    }));
    let connection = engine().connect_blocking(config).unwrap();
    until("the provider is called repeatedly", || asked.load(Ordering::SeqCst) >= 4);
    channel(&connection);
    assert_eq!(connection.reconnects(), 0);
}
